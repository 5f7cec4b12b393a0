//! Content that a bundle presumes and the far side lacks, and the images that need it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, Plan, Presumed};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::{Digest, Manifest, RepositoryName, Tag};

use crate::selection::split_host;
use crate::{Carried, Error, ImportOptions, Result, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// Content that a bundle presumes and the target lacks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Missing {
    /// The content; not empty.
    pub contents: Vec<Digest>,
    /// The images that need it, as far as they are known.
    pub images: Vec<MissingImage>,
}

/// An image that needs missing content. It is shown as a line of a list for an export: the image by its digest, and its tags
/// in a comment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MissingImage {
    /// The repository, by its name in the bundle.
    pub repository: RepositoryName,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The tags.
    pub tags: Vec<Tag>,
}

impl fmt::Display for MissingImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A list has hosts before repositories, and a repository may look like one.
        let host = if split_host(self.repository.as_str()).0.is_some() { "localhost/" } else { "" };
        write!(f, "{host}{}@{}", self.repository, self.digest)?;
        let tags: Vec<&str> = self.tags.iter().map(Tag::as_str).collect();
        if tags.is_empty() { Ok(()) } else { write!(f, " # {}", tags.join(" ")) }
    }
}

/// Checks that the target has all presumed content.
pub(crate) async fn check_presumed(
    carried: &dyn Carried,
    target: &dyn Target,
    options: &ImportOptions,
) -> Result<()> {
    let contents = missing(carried.plan(), target).await?;
    if contents.is_empty() {
        return Ok(());
    }
    let images = match carried.is_seekable() || options.find_missing {
        true => images_with(carried, &contents, options.max_manifest_bytes).await?,
        false => Vec::new(),
    };
    Err(Error::PresumedMissing(Missing { contents, images }))
}

/// The presumed content of a plan that `target` lacks.
///
/// # Errors
///
/// Any error of the target.
pub async fn missing(plan: &Plan, target: &dyn Target) -> Result<Vec<Digest>> {
    let missing = stream::iter(&plan.presumed).map(|presumed| async move {
        Ok::<_, Error>((!has_presumed(target, presumed).await?).then(|| presumed.digest.clone()))
    });
    let missing = missing.buffered(CONCURRENT_CHECKS).try_filter_map(|it| ready(Ok(it)));
    missing.try_collect().await
}

/// Whether the target has presumed content, in any repository.
async fn has_presumed(target: &dyn Target, presumed: &Presumed) -> Result<bool> {
    let Presumed { digest, size_bytes, kind, repositories } = presumed;
    for repository in repositories {
        let is_there = match kind {
            ContentKind::Blob => target.has_blob(repository, digest, *size_bytes).await?,
            ContentKind::Manifest => target.has_manifest(repository, digest).await?,
        };
        if is_there {
            return Ok(true);
        }
    }
    target.has_data(digest, *size_bytes).await
}

/// The images of a bundle that need one of `contents`, in the order of the bundle. Reads all its manifests, thus a pipe to its
/// end.
///
/// # Errors
///
/// `Bundle` when a manifest is damaged or longer than `max_manifest_bytes`.
pub async fn images_with(
    carried: &dyn Carried,
    contents: &[Digest],
    max_manifest_bytes: u64,
) -> Result<Vec<MissingImage>> {
    let plan = carried.plan();
    let contents: HashSet<&Digest> = contents.iter().collect();
    let is_manifest = |content: &sampan_bundle::PlannedContent| content.kind == ContentKind::Manifest;
    let manifests: HashSet<&Digest> =
        plan.contents.iter().filter(|content| is_manifest(content)).map(|content| &content.digest).collect();
    let mut parents: HashMap<&Digest, Vec<&Digest>> = HashMap::new();
    let mut affected: Vec<&Digest> = Vec::new();
    for (index, content) in plan.contents.iter().enumerate().filter(|(_, content)| is_manifest(content)) {
        let bytes = carried.whole(index, max_manifest_bytes).await?;
        let manifest = Manifest::parse(&bytes, None).map_err(EngineError::ManifestInvalid)?;
        for reference in manifest.references() {
            if contents.contains(reference) {
                affected.push(&content.digest);
            } else if let Some(child) = manifests.get(reference) {
                parents.entry(child).or_default().push(&content.digest);
            }
        }
    }
    let mut needing: HashSet<&Digest> = HashSet::new();
    while let Some(digest) = affected.pop() {
        if needing.insert(digest) {
            affected.extend(parents.get(digest).into_iter().flatten());
        }
    }
    let images = plan.images().filter(|(_, image)| {
        needing.contains(&image.digest) || image.referrers.iter().any(|it| needing.contains(&it.digest))
    });
    Ok(images
        .map(|(repository, image)| MissingImage {
            repository: repository.name.clone(),
            digest: image.digest.clone(),
            tags: image.tags.clone(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_lines;

    #[test]
    fn a_line_of_an_image_selects_it_again() {
        for (repository, tags) in
            [("team/app", &["1.0", "b"][..]), ("docker.io/library/a", &[]), ("localhost/a", &["x"])]
        {
            let image = MissingImage {
                repository: repository.parse().unwrap(),
                digest: Digest::sha256_of(b"x"),
                tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            };
            let (_, listed) = parse_lines(&image.to_string()).unwrap().remove(0);
            assert_eq!(listed.selector.exact_repository(), Some(image.repository));
            assert_eq!(listed.selector.digest(), Some(&image.digest));
        }
    }
}
