//! Content that a bundle presumes and the far side lacks, and the images that need it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::pin;

use futures::future::ready;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, Plan, Presumed};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::{Digest, Manifest, RepositoryName, Tag};

use crate::selection::split_host;
use crate::{Error, ImportOptions, PlanReader, Renames, Result, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// Content that a bundle presumes and the target lacks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Missing {
    /// The content; not empty.
    pub contents: Vec<Digest>,
    /// The images that need it, as far as they are known.
    pub images: Vec<MissingImage>,
    /// Where the content is.
    pub supplement: MissingFrom,
}

/// The file from which a target gets missing content.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MissingFrom {
    /// Another export of the source has it.
    #[default]
    Export,
    /// An earlier archive of another tool has it.
    EarlierArchive,
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

/// Checks that the target has all presumed content; returns the repository of each blob that was found in one.
pub(crate) async fn check_presumed(
    carried: &dyn PlanReader,
    target: &dyn Target,
    options: &ImportOptions,
) -> Result<HashMap<Digest, RepositoryName>> {
    let (mut places, mut contents) = (HashMap::new(), Vec::new());
    let mut found = pin!(found(carried.plan(), target, &options.renames));
    while let Some((presumed, found)) = found.try_next().await? {
        match found {
            PresumedLocation::In(repository) => _ = places.insert(presumed.digest.clone(), repository),
            PresumedLocation::Somewhere => {}
            PresumedLocation::Nowhere => contents.push(presumed.digest.clone()),
        }
    }
    if contents.is_empty() {
        return Ok(places);
    }
    let images = match carried.is_seekable() || options.find_missing {
        true => images_with(carried, &contents, options.max_manifest_bytes).await?,
        false => Vec::new(),
    };
    Err(Error::PresumedMissing(Missing { contents, images, supplement: carried.supplement() }))
}

/// The presumed content of a plan, and where `target` has it.
fn found<'a>(
    plan: &'a Plan,
    target: &'a dyn Target,
    renames: &'a Renames,
) -> impl Stream<Item = Result<(&'a Presumed, PresumedLocation)>> {
    let found = stream::iter(&plan.presumed)
        .map(move |presumed| async move { Ok((presumed, find(target, presumed, renames).await?)) });
    found.buffered(CONCURRENT_CHECKS)
}

/// The presumed content of a plan that `target` lacks.
///
/// # Errors
///
/// Any error of the target.
pub async fn missing(plan: &Plan, target: &dyn Target) -> Result<Vec<Digest>> {
    let renames = Renames::default();
    let missing = found(plan, target, &renames).try_filter_map(|(presumed, found)| {
        ready(Ok(matches!(found, PresumedLocation::Nowhere).then(|| presumed.digest.clone())))
    });
    missing.try_collect().await
}

/// Where a target has presumed content.
enum PresumedLocation {
    In(RepositoryName),
    Somewhere,
    Nowhere,
}

/// Looks for presumed content: for a blob in any repository, for a manifest in all that need it, since no repository lends one to
/// another.
async fn find(target: &dyn Target, presumed: &Presumed, renames: &Renames) -> Result<PresumedLocation> {
    let Presumed { digest, size_bytes, kind, repositories } = presumed;
    if *kind == ContentKind::Manifest {
        for repository in repositories {
            if !target.has_manifest(&renames.apply(repository)?, digest).await? {
                return Ok(PresumedLocation::Nowhere);
            }
        }
        return Ok(if repositories.is_empty() {
            PresumedLocation::Nowhere
        } else {
            PresumedLocation::Somewhere
        });
    }
    for repository in repositories {
        // An inventory of the target has its names, and the file of another tool has its own.
        let renamed = renames.apply(repository).ok().filter(|renamed| renamed != repository);
        for repository in renamed.iter().chain([repository]) {
            if target.has_blob(repository, digest, *size_bytes).await? {
                return Ok(PresumedLocation::In(repository.clone()));
            }
        }
    }
    Ok(if target.has_data(digest, *size_bytes).await? {
        PresumedLocation::Somewhere
    } else {
        PresumedLocation::Nowhere
    })
}

/// The images of a bundle that need one of `contents`, in the order of the bundle. Reads all its manifests, thus a pipe to its
/// end.
///
/// # Errors
///
/// `Bundle` when a manifest is damaged or longer than `max_manifest_bytes`.
pub async fn images_with(
    carried: &dyn PlanReader,
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
        let bytes = carried.read_whole(index, max_manifest_bytes).await?;
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
