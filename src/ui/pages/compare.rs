//! Two images of a repository beside each other. Of two indexes, two images for one platform.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use futures::TryStreamExt;
use http::StatusCode;
use sampan_engine::oci::{Digest, Reference, RepositoryName};
use sampan_engine::{Error, ImageKind, Repository};

use super::comparison::{ComparedImage, Comparison};
use super::stored_image::StoredImage;
use crate::frame::Frame;
use crate::gate::Visitor;
use crate::kind::is_attestation;
use crate::pages::{Problem, Step, crumbs};
use crate::query::query;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown;
use crate::ui::PageContext;

/// The most tags that the form suggests.
const MAX_SUGGESTED: usize = 200;

/// The most platforms that a page lists.
const MAX_PLATFORMS: usize = 200;

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    f: Frame,
    crumbs: Vec<Step>,
    message: Option<String>,
    /// The values of the fields of the form.
    fields: [String; 2],
    suggestions: Vec<String>,
    platforms: Vec<PlatformRow>,
    other_platforms: usize,
    /// The platform of what is compared, of those that an index has.
    platform: Option<String>,
    labels: [String; 2],
    links: [String; 2],
    comparison: Option<Comparison>,
}

/// A platform of an index.
struct PlatformRow {
    name: String,
    /// `None` if one of the two lacks it.
    link: Option<String>,
    /// The only one of the two that has it.
    only_in: Option<String>,
}

/// Compares two images, or asks which.
pub(crate) async fn show(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
) -> Result<Reply, Problem> {
    let repository = scene.registry().repository(name.clone());
    let fields = ["a", "b"].map(|field| scene.visit.query.get(field).unwrap_or_default());
    let f = scene.frame(Some(visitor)).titled(scene.visit.language.compare_images());
    let mut page = ComparePage {
        crumbs: crumbs(&f, name, true),
        f,
        message: None,
        fields: fields.map(|text| text.chars().take(256).collect()),
        suggestions: Vec::new(),
        platforms: Vec::new(),
        other_platforms: 0,
        platform: None,
        labels: fields.map(str::to_owned),
        links: [String::new(), String::new()],
        comparison: None,
    };
    let status = match fields.map(str::parse::<Reference>) {
        [Ok(a), Ok(b)] => page.compare(scene, &repository, [&a, &b]).await?,
        parsed => {
            let odd = fields.iter().zip(parsed).find(|(text, parsed)| !text.is_empty() && parsed.is_err());
            page.message = odd.map(|(text, _)| page.f.t.no_reference(&shown::text(text)));
            page.suggestions = tags(&repository).await?;
            if page.message.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
        }
    };
    Ok(reply::page(status, &page))
}

async fn tags(repository: &Repository) -> Result<Vec<String>, Problem> {
    let mut all = repository.tags().stream(None).await?;
    let mut tags = Vec::new();
    while let Some(tag) = all.try_next().await? {
        tags.push(shown::text(&tag));
        if tags.len() == MAX_SUGGESTED {
            break;
        }
    }
    Ok(tags)
}

impl ComparePage {
    /// Fills the page with what two images have in common, or with the platforms of which one must be chosen.
    async fn compare(
        &mut self,
        scene: &PageContext<'_>,
        repository: &Repository,
        references: [&Reference; 2],
    ) -> Result<StatusCode, Problem> {
        let [a, b] = references;
        self.labels = [label(a), label(b)];
        self.links = references.map(|it| self.f.to(&Route::Image(repository.name().clone(), it.clone())));
        let mut images = [StoredImage::read(repository, a).await?, StoredImage::read(repository, b).await?];
        let platforms = images.each_ref().map(platforms);
        if platforms.iter().any(|it| !it.is_empty()) {
            let asked = scene.visit.query.get("platform");
            // An image beside an index says which of the index's images to compare with.
            let own = || {
                images.iter().find(|image| image.summary.kind == ImageKind::Image)?.summary.platforms.first()
            };
            let wanted = asked.or_else(|| own().map(String::as_str));
            let in_all = |wanted: &str| platforms.iter().all(|it| it.is_empty() || it.contains_key(wanted));
            let Some(wanted) = wanted.filter(|wanted| in_all(wanted)).map(str::to_owned) else {
                self.list(&platforms);
                self.message = asked.map(|asked| self.f.t.no_platform(&shown::text(asked)));
                return Ok(if asked.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK });
            };
            for (image, platforms) in images.iter_mut().zip(&platforms) {
                if let Some(child) = platforms.get(&wanted) {
                    *image = StoredImage::read(repository, &Reference::Digest(child.clone())).await?;
                }
            }
            self.platform = Some(wanted);
        }
        let [a, b] = images;
        let sides = [side(repository, a).await?, side(repository, b).await?];
        self.comparison = Some(Comparison::of(self.f.t, &self.labels, &sides));
        Ok(StatusCode::OK)
    }

    /// Lists the platforms of two indexes, or of one.
    fn list(&mut self, platforms: &[BTreeMap<String, Digest>; 2]) {
        let names: BTreeSet<&String> = platforms.iter().flat_map(BTreeMap::keys).collect();
        self.other_platforms = names.len().saturating_sub(MAX_PLATFORMS);
        let row = |name: &String| {
            let lacks = platforms.iter().position(|it| !it.is_empty() && !it.contains_key(name));
            let [a, b] = &self.fields;
            let link = lacks.is_none().then(|| query(&[("a", a), ("b", b), ("platform", name)]));
            PlatformRow { name: name.clone(), link, only_in: lacks.map(|it| self.labels[1 - it].clone()) }
        };
        self.platforms = names.into_iter().take(MAX_PLATFORMS).map(row).collect();
    }

    /// The query of this page for another platform.
    fn without_platform(&self) -> String {
        let [a, b] = &self.fields;
        query(&[("a", a), ("b", b)])
    }
}

/// The images of an index by platform, the first of each.
fn platforms(image: &StoredImage) -> BTreeMap<String, Digest> {
    let mut platforms = BTreeMap::new();
    let children = image.manifest.iter().flat_map(|manifest| &manifest.manifests);
    for child in children.filter(|child| !is_attestation(child)) {
        if let Some(platform) = child.platform.as_ref().and_then(|platform| platform.text()) {
            platforms.entry(platform).or_insert_with(|| child.digest.clone());
        }
    }
    platforms
}

async fn side(repository: &Repository, image: StoredImage) -> Result<ComparedImage, Error> {
    let config = image.config(repository).await?;
    Ok(ComparedImage { image, config })
}

/// The title of a column.
fn label(reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => tag.to_string(),
        Reference::Digest(digest) => shown::short(digest),
    }
}
