//! `Plan`: everything that a bundle has, in order.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use sampan_engine::oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::{ContentKind, PlanProblem, PlannedContent, Presumed};

/// The longest plan, in bytes: about two million blobs.
pub const MAX_PLAN_BYTES: u64 = 256 << 20;

/// The content of a bundle, the file `bundle.json`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// The host under which other tools see the images, such as `registry.example:5000`.
    pub source: String,
    /// The time of the export, in the form of RFC 3339; absent by default, so that equal content makes equal bundles.
    pub created: Option<String>,
    /// The tags that `index.json` lists.
    pub index: IndexScope,
    /// The platform that `manifest.json` lists, such as `linux/amd64`.
    pub docker_platform: String,
    /// The names of earlier bundles that this one was compared with.
    pub bases: Vec<Digest>,
    /// The platforms for which indexes were rewritten, such as `linux/amd64`; empty if none was.
    pub rewritten_for: Vec<String>,
    /// The indexes that were made for the bundle, because it carries some of their platforms only.
    pub rewritten: Vec<RewrittenIndex>,
    /// The content of the bundle, in its order.
    pub contents: Vec<PlannedContent>,
    /// Content that the far side must have.
    pub presumed: Vec<Presumed>,
    /// The repositories.
    pub repositories: Vec<PlannedRepository>,
    /// The files for other tools: `index.json`, and `manifest.json` unless it is too long.
    pub files: Vec<PlannedFile>,
}

/// An index that the source does not have: one of its indexes, without what was left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RewrittenIndex {
    /// The digest of the new index.
    pub digest: Digest,
    /// The digest of the index in the source. Signatures and other referrers are of that one.
    pub from: Digest,
}

/// The tags that `index.json` lists.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexScope {
    /// All but [fallback tags](is_fallback_tag): one such name breaks `ctr image import` of containerd 1.7.
    #[default]
    Images,
    /// All.
    All,
}

/// A repository of a bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedRepository {
    /// The name.
    pub name: RepositoryName,
    /// Whether the bundle names all tags that the repository had.
    pub complete: bool,
    /// The images, in the order of their content.
    pub images: Vec<PlannedImage>,
}

/// An image, artifact or index of a bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedImage {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The media type of its manifest.
    pub media_type: String,
    /// References of its manifests that neither the bundle nor the far side has.
    pub left_out: Vec<LeftOut>,
    /// The manifests attached to it, to its children, and to these, in the order of their content.
    pub referrers: Vec<PlannedReferrer>,
}

/// A reference whose content was left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The digest.
    pub digest: Digest,
    /// The platform of an image, such as `linux/arm64`; empty for a layer that may not be distributed.
    pub platform: String,
}

/// A manifest that is attached to another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedReferrer {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The manifest that it is attached to.
    pub subject: Digest,
    /// Its media type.
    pub media_type: String,
    /// The type of the artifact, or an empty text.
    pub artifact_type: String,
}

/// A file for other tools.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedFile {
    /// The name.
    pub name: String,
    /// The length in bytes.
    pub size_bytes: u64,
    /// The digest of the content.
    pub digest: Digest,
}

/// Sums over a plan.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Totals {
    /// The number of manifests and blobs that the bundle carries.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// The length of the presumed content in bytes.
    pub presumed_bytes: u64,
}

impl Plan {
    /// The names of the files for other tools, in their order.
    pub(crate) const FILES: [&'static str; 2] = ["index.json", "manifest.json"];

    /// The sums over the content.
    ///
    /// # Errors
    ///
    /// When they overflow.
    pub fn totals(&self) -> Result<Totals, PlanProblem> {
        Ok(Totals {
            blobs: self.contents.len() as u64,
            bytes: sum(self.contents.iter().map(|content| content.size_bytes))?,
            presumed_bytes: sum(self.presumed.iter().map(|presumed| presumed.size_bytes))?,
        })
    }

    /// The images of all repositories, each with its repository.
    pub fn images(&self) -> impl Iterator<Item = (&PlannedRepository, &PlannedImage)> {
        self.repositories
            .iter()
            .flat_map(|repository| repository.images.iter().map(move |image| (repository, image)))
    }

    /// Checks that the plan does not contradict itself.
    ///
    /// # Errors
    ///
    /// The first contradiction.
    pub fn check(&self) -> Result<(), PlanProblem> {
        self.totals()?;
        unique(
            self.contents
                .iter()
                .map(|content| &content.digest)
                .chain(self.presumed.iter().map(|it| &it.digest)),
        )?;
        unique(self.repositories.iter().map(|repository| &repository.name))?;
        for repository in &self.repositories {
            unique(repository.images.iter().flat_map(|image| &image.tags))?;
            unique(repository.images.iter().map(|image| &image.digest))?;
        }
        let carried = self.contents.iter().filter(|content| content.kind == ContentKind::Manifest);
        let carried: HashSet<&Digest> = carried.map(|content| &content.digest).collect();
        for (_, image) in self.images() {
            let attached = image.referrers.iter().map(|referrer| &referrer.digest);
            if let Some(missing) =
                [&image.digest].into_iter().chain(attached).find(|it| !carried.contains(it))
            {
                return Err(PlanProblem::NotCarried(missing.clone()));
            }
        }
        // Several indexes may become the same one.
        unique(self.rewritten.iter().map(|it| &it.from))?;
        if let Some(it) = self.rewritten.iter().find(|it| !carried.contains(&it.digest)) {
            return Err(PlanProblem::NotCarried(it.digest.clone()));
        }
        let names = self.files.iter().map(|file| file.name.as_str());
        if let Some(strange) = names.zip(Self::FILES).find(|(name, expected)| name != expected) {
            return Err(PlanProblem::File(strange.0.to_owned()));
        }
        match self.files.get(Self::FILES.len()) {
            Some(further) => Err(PlanProblem::File(further.name.clone())),
            None if self.files.is_empty() => Err(PlanProblem::File(String::new())),
            None => Ok(()),
        }
    }
}

fn sum(mut sizes: impl Iterator<Item = u64>) -> Result<u64, PlanProblem> {
    sizes.try_fold(0u64, u64::checked_add).ok_or(PlanProblem::Overflow)
}

fn unique<T: Display + Eq + Hash>(items: impl Iterator<Item = T>) -> Result<(), PlanProblem> {
    let mut seen = HashSet::new();
    for item in items {
        if seen.contains(&item) {
            return Err(PlanProblem::Duplicate(item.to_string()));
        }
        seen.insert(item);
    }
    Ok(())
}

/// How many hexadecimal digits a fallback tag has of a digest at most (OCI distribution-spec, "Referrers Tag Schema").
pub const FALLBACK_TAG_HEX: usize = 64;

/// Whether the tag names no image: the list of a digest's referrers (OCI distribution-spec, "Referrers Tag Schema"), or a
/// legacy attachment of cosign such as `sha256-<hex>.sig`.
pub fn is_fallback_tag(tag: &Tag) -> bool {
    let Some((algorithm, rest)) = tag.as_str().split_once('-') else { return false };
    ["sha256", "sha384", "sha512"].contains(&algorithm)
        && rest.len() >= FALLBACK_TAG_HEX
        && rest.bytes().take(FALLBACK_TAG_HEX).all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_tags_are_recognised() {
        let hex = "a".repeat(64);
        for (tag, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha384-{hex}"), true),
            (format!("sha512-{hex}"), true),
            ("sha256-abc".to_owned(), false),
            ("latest".to_owned(), false),
            ("1.0-alpha".to_owned(), false),
        ] {
            assert_eq!(is_fallback_tag(&tag.parse().unwrap()), expected, "{tag}");
        }
    }
}
