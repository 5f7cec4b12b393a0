//! The JSON of a plan: keys in a fixed order, a line feed after each element, no other space.

use bytes::Bytes;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::plan::{
    IndexScope, LeftOut, PlannedFile, PlannedImage, PlannedReferrer, PlannedRepository, RewrittenIndex,
    Totals,
};
use crate::{ContentKind, Error, MAX_PLAN_BYTES, Plan, PlanProblem, PlannedContent, Presumed, Result};

/// The version that this program writes and reads.
const VERSION: u64 = 1;

impl Plan {
    /// The file `bundle.json`.
    ///
    /// # Errors
    ///
    /// When the plan contradicts itself, or the file would be longer than [`MAX_PLAN_BYTES`].
    pub fn encode(&self) -> Result<Bytes, PlanProblem> {
        self.check()?;
        let mut json = format!("{{\"version\":{VERSION},\"source\":{}", text(&self.source)).into_bytes();
        if let Some(created) = &self.created {
            push(&mut json, &format!(",\"created\":{}", text(created)));
        }
        push(&mut json, &format!(",\"index\":{}", text(&self.index)));
        push(&mut json, &format!(",\"dockerPlatform\":{},\n", text(&self.docker_platform)));
        list(&mut json, "bases", &self.bases, text);
        if !self.rewritten.is_empty() {
            push(&mut json, &format!("\"rewrittenFor\":{},\n", text(&self.rewritten_for)));
            list(&mut json, "rewritten", &self.rewritten, |it| text(&(&it.digest, &it.from)));
        }
        list(&mut json, "contents", &self.contents, |it| text(&(&it.digest, it.size_bytes, it.kind)));
        list(&mut json, "presumed", &self.presumed, |it| {
            let repositories: Vec<&str> = it.repositories.iter().map(RepositoryName::as_str).collect();
            text(&(&it.digest, it.size_bytes, it.kind, repositories))
        });
        list(&mut json, "repositories", &self.repositories, |it| {
            let mut element =
                format!("{{\"name\":{},\"complete\":{},", text(it.name.as_str()), it.complete).into_bytes();
            elements(&mut element, "images", &it.images, image);
            element.push(b'}');
            String::from_utf8_lossy(&element).into_owned()
        });
        list(&mut json, "files", &self.files, |it| text(&(&it.name, it.size_bytes, &it.digest)));
        push(&mut json, &format!("\"totals\":{},\n", text(&self.totals()?)));
        let sum = Digest::sha256_of(&json);
        push(&mut json, &format!("\"sum\":{}}}\n", text(&sum)));
        match json.len() as u64 {
            len if len > MAX_PLAN_BYTES => Err(PlanProblem::TooLarge(len)),
            _ => Ok(json.into()),
        }
    }

    /// Parses the file `bundle.json`. Its last line has the digest of the lines before: rot is found without a signature.
    ///
    /// # Errors
    ///
    /// `NewerVersion`; `Plan` when the file is not a plan, contradicts itself, or has names outside the grammar.
    pub fn decode(json: &[u8]) -> Result<Self> {
        if json.len() as u64 > MAX_PLAN_BYTES {
            return Err(PlanProblem::TooLarge(json.len() as u64).into());
        }
        let invalid = |error: serde_json::Error| PlanProblem::Json(error.to_string());
        let version = |json| serde_json::from_slice(json).map(|Version { version }| version);
        let raw: RawPlan = match serde_json::from_slice(json) {
            Ok(raw) => raw,
            Err(error) => {
                return Err(match version(json) {
                    Ok(version) if version > VERSION => Error::NewerVersion(version),
                    _ => invalid(error).into(),
                });
            }
        };
        match raw.version {
            VERSION => {}
            version if version > VERSION => return Err(Error::NewerVersion(version)),
            version => return Err(PlanProblem::Json(format!("there is no version {version}")).into()),
        }
        let sum = format!("\"sum\":{}}}\n", text(&raw.sum));
        match json.strip_suffix(sum.as_bytes()) {
            Some(lines) if Digest::sha256_of(lines) == raw.sum => {}
            _ => return Err(PlanProblem::Sum.into()),
        }
        let totals = raw.totals;
        let plan = raw.into_plan()?;
        plan.check()?;
        match plan.totals()? == totals {
            true => Ok(plan),
            false => Err(PlanProblem::Totals.into()),
        }
    }
}

fn image(image: &PlannedImage) -> String {
    let tags: Vec<&str> = image.tags.iter().map(Tag::as_str).collect();
    let mut json = format!(
        "{{\"digest\":{},\"tags\":{},\"mediaType\":{},",
        text(&image.digest),
        text(&tags),
        text(&image.media_type)
    )
    .into_bytes();
    let left_out: Vec<_> = image.left_out.iter().map(|it| (&it.digest, &it.platform)).collect();
    push(&mut json, &format!("\"leftOut\":{},", text(&left_out)));
    let referrers = image.referrers.iter();
    let referrers: Vec<_> =
        referrers.map(|it| (&it.digest, &it.subject, &it.media_type, &it.artifact_type)).collect();
    push(&mut json, &format!("\"referrers\":{}}}", text(&referrers)));
    String::from_utf8_lossy(&json).into_owned()
}

/// A key of the plan with its list.
fn list<T>(json: &mut Vec<u8>, key: &str, items: &[T], element: impl Fn(&T) -> String) {
    elements(json, key, items, element);
    push(json, ",\n");
}

fn elements<T>(json: &mut Vec<u8>, key: &str, items: &[T], element: impl Fn(&T) -> String) {
    push(json, &format!("\"{key}\":["));
    for (index, item) in items.iter().enumerate() {
        push(json, if index == 0 { "\n" } else { ",\n" });
        push(json, &element(item));
    }
    push(json, "]");
}

fn push(json: &mut Vec<u8>, text: &str) {
    json.extend_from_slice(text.as_bytes());
}

fn text(value: &(impl Serialize + ?Sized)) -> String {
    #[expect(clippy::expect_used, reason = "texts, numbers and lists of them always serialize")]
    serde_json::to_string(value).expect("invariant: the value has no maps with other keys than texts")
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawPlan {
    version: u64,
    source: String,
    #[serde(default)]
    created: Option<String>,
    index: IndexScope,
    docker_platform: String,
    bases: Vec<Digest>,
    #[serde(default)]
    rewritten_for: Vec<String>,
    #[serde(default)]
    rewritten: Vec<(Digest, Digest)>,
    contents: Vec<(Digest, u64, ContentKind)>,
    presumed: Vec<(Digest, u64, ContentKind, Vec<String>)>,
    repositories: Vec<RawRepository>,
    files: Vec<(String, u64, Digest)>,
    totals: Totals,
    sum: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRepository {
    name: String,
    complete: bool,
    images: Vec<RawImage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawImage {
    digest: Digest,
    tags: Vec<String>,
    media_type: String,
    left_out: Vec<(Digest, String)>,
    referrers: Vec<(Digest, Digest, String, String)>,
}

impl RawPlan {
    fn into_plan(self) -> Result<Plan, PlanProblem> {
        let contents = self.contents.into_iter();
        let files = self.files.into_iter();
        Ok(Plan {
            source: self.source,
            created: self.created,
            index: self.index,
            docker_platform: self.docker_platform,
            bases: self.bases,
            rewritten_for: self.rewritten_for,
            rewritten: self
                .rewritten
                .into_iter()
                .map(|(digest, from)| RewrittenIndex { digest, from })
                .collect(),
            contents: contents
                .map(|(digest, size_bytes, kind)| PlannedContent { digest, size_bytes, kind })
                .collect(),
            presumed: self.presumed.into_iter().map(into_presumed).collect::<Result<_, _>>()?,
            repositories: self
                .repositories
                .into_iter()
                .map(RawRepository::parse)
                .collect::<Result<_, _>>()?,
            files: files.map(|(name, size_bytes, digest)| PlannedFile { name, size_bytes, digest }).collect(),
        })
    }
}

impl RawRepository {
    fn parse(self) -> Result<PlannedRepository, PlanProblem> {
        Ok(PlannedRepository {
            name: name(&self.name)?,
            complete: self.complete,
            images: self.images.into_iter().map(RawImage::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl RawImage {
    fn parse(self) -> Result<PlannedImage, PlanProblem> {
        let tag = |tag: String| tag.parse().map_err(|error| PlanProblem::Name(format!("{error}")));
        let left_out = self.left_out.into_iter().map(|(digest, platform)| LeftOut { digest, platform });
        let referrers = self.referrers.into_iter();
        let referrers = referrers.map(|(digest, subject, media_type, artifact_type)| PlannedReferrer {
            digest,
            subject,
            media_type,
            artifact_type,
        });
        Ok(PlannedImage {
            digest: self.digest,
            tags: self.tags.into_iter().map(tag).collect::<Result<_, _>>()?,
            media_type: self.media_type,
            left_out: left_out.collect(),
            referrers: referrers.collect(),
        })
    }
}

fn into_presumed(
    (digest, size_bytes, kind, repositories): (Digest, u64, ContentKind, Vec<String>),
) -> Result<Presumed, PlanProblem> {
    let repositories = repositories.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
    Ok(Presumed { digest, size_bytes, kind, repositories })
}

fn name(text: &str) -> Result<RepositoryName, PlanProblem> {
    text.parse().map_err(|error| PlanProblem::Name(format!("{error}")))
}
