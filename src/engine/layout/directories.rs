//! Directories of the layout, for listings, walks and deletions of trees.

use sampan_driver::DriverPath;

use super::{
    ACCESS_TOKENS, BLOBS, CACHE_COMPARISONS, CACHE_OFFLINE, CACHE_USES, COLLECTION, DAMAGED, DATES,
    MIGRATION, PURGES, REMOVED, REPOSITORIES, SNAPSHOTS, SURVEYS, SYNC, VERIFICATION, blob_directory,
    layer_directory, path, referrer_directory, revision_directory,
};
use crate::access_token_id::AccessTokenId;
use crate::job_name::JobName;
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};
use crate::upload::UploadId;

/// The root of all data of blobs and manifests.
pub fn blobs_root() -> DriverPath {
    path(BLOBS.to_owned())
}

/// The parent of the data directories of one algorithm, which are grouped by the first two digits of their digests.
pub fn blob_shards(algorithm: Algorithm) -> DriverPath {
    path(format!("{BLOBS}/{algorithm}"))
}

/// The root of all repositories.
pub fn repositories_root() -> DriverPath {
    path(REPOSITORIES.to_owned())
}

/// The root of the collector's files, which other collectors and pushes read.
pub fn collection_root() -> DriverPath {
    path(COLLECTION.to_owned())
}

/// The directory of the access tokens, which has a directory for each.
pub fn access_tokens_root() -> DriverPath {
    path(ACCESS_TOKENS.to_owned())
}

/// The directory of one access token.
pub fn access_token(id: &AccessTokenId) -> DriverPath {
    path(format!("{ACCESS_TOKENS}/{id}"))
}

/// The directory of the notices of processes that are offline.
pub fn cache_offline_root() -> DriverPath {
    path(CACHE_OFFLINE.to_owned())
}

/// The directory of the records of when caches were used.
pub fn cache_uses_root() -> DriverPath {
    path(CACHE_USES.to_owned())
}

/// The directory of the records of when tags of caches were compared with their upstreams.
pub fn cache_comparisons_root() -> DriverPath {
    path(CACHE_COMPARISONS.to_owned())
}

/// The file in which Distribution's cache of another registry keeps when it forgets what. Only Distribution writes it.
pub fn scheduler_state() -> DriverPath {
    path("/scheduler-state.json".to_owned())
}

/// The directory of the records of surveys.
pub fn surveys_root() -> DriverPath {
    path(SURVEYS.to_owned())
}

/// The directory of the records of jobs, which has a directory for each.
pub fn sync_root() -> DriverPath {
    path(SYNC.to_owned())
}

/// The directory of the records of a job's runs.
pub fn sync_runs(job: &JobName) -> DriverPath {
    path(format!("{SYNC}/{job}"))
}

/// The directory of the records of verifications.
pub fn verification_turns_root() -> DriverPath {
    path(format!("{VERIFICATION}/turns"))
}

/// The root of the damaged data that were moved aside.
pub fn damaged_root() -> DriverPath {
    path(DAMAGED.to_owned())
}

/// The root of the records of removed tags.
pub fn removed_root() -> DriverPath {
    path(REMOVED.to_owned())
}

/// The records of a repository's removed tags.
pub fn removed_tags(name: &RepositoryName) -> DriverPath {
    path(format!("{REMOVED}/{name}/_tags"))
}

/// The records of the removals of one tag.
pub fn removed_tag(name: &RepositoryName, tag: &Tag) -> DriverPath {
    path(format!("{REMOVED}/{name}/_tags/{tag}"))
}

/// The root of the times at which tags were pushed in a store that was copied.
pub fn dates_root() -> DriverPath {
    path(DATES.to_owned())
}

/// The directory of the blobs that a migration copies.
pub fn migration_staged() -> DriverPath {
    path(format!("{MIGRATION}/staged"))
}

/// The directory of the snapshots of another store.
pub fn snapshots_root() -> DriverPath {
    path(SNAPSHOTS.to_owned())
}

/// The directory of the records of upload purges.
pub fn purges_root() -> DriverPath {
    path(PURGES.to_owned())
}

/// Whether the file is left from an interrupted write of a small file on a filesystem: `<name>.<uuid>.tmp`, the name that
/// both Distribution and this registry use.
pub fn is_temporary(path: &DriverPath) -> bool {
    let stem = path.name().and_then(|name| name.strip_suffix(".tmp"));
    stem.and_then(|stem| stem.rsplit_once('.'))
        .is_some_and(|(name, id)| !name.is_empty() && id.len() == 36 && uuid::Uuid::try_parse(id).is_ok())
}

/// All files of one repository, and of the repositories below its name.
pub fn repository(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}"))
}

/// The text with which the path of each file of a repository begins, and of no file of another one.
pub fn prefix_in_repository(name: &RepositoryName) -> String {
    format!("{REPOSITORIES}/{name}/_")
}

/// All files about a repository's manifests. A repository exists when this directory is not empty.
pub fn manifests(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests"))
}

/// The directory of the links to a repository's manifests.
pub fn all_revisions(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/revisions"))
}

/// The directory of the links to a repository's manifests of one algorithm.
pub fn revisions(name: &RepositoryName, algorithm: Algorithm) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/revisions/{algorithm}"))
}

/// The directory of a repository's tags.
pub fn tags(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/tags"))
}

/// All files of one tag.
pub fn tag(name: &RepositoryName, tag: &Tag) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}"))
}

/// All digests that the tag has ever pointed at.
pub fn tag_history(name: &RepositoryName, tag: &Tag) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}/index"))
}

/// All digests of one algorithm that the tag has ever pointed at.
pub fn tag_history_of(name: &RepositoryName, tag: &Tag, algorithm: Algorithm) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}/index/{algorithm}"))
}

/// The notices of deletions that are about to remove something.
pub fn removals(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_sampan/removals"))
}

/// All files of a repository that Distribution ignores.
pub fn own(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_sampan"))
}

/// The index of a repository's referrers.
pub fn referrers(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_sampan/referrers"))
}

/// The entries of one subject in the index of referrers, by digests of one algorithm.
pub fn referrers_of(name: &RepositoryName, subject: &Digest, algorithm: Algorithm) -> DriverPath {
    path(referrer_directory(name, subject, algorithm))
}

/// All files of one manifest in a repository.
pub fn revision(name: &RepositoryName, digest: &Digest) -> DriverPath {
    path(revision_directory(name, digest))
}

/// The directory of a repository's layer links.
pub fn layers(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_layers"))
}

/// The directory of a repository's layer links of one algorithm.
pub fn layers_of(name: &RepositoryName, algorithm: Algorithm) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_layers/{algorithm}"))
}

/// The repository whose directory below [`repositories_root`] this is, if its name is valid.
pub fn repository_at(path: &DriverPath) -> Option<RepositoryName> {
    path.below(&repositories_root()).and_then(|name| name.parse().ok())
}

/// The repository that contains the path, and the first directory below it.
pub fn place_in_repository(path: &DriverPath) -> Option<(RepositoryName, &str)> {
    let below = path.below(&repositories_root())?;
    let (name, _) = below.split_once("/_")?;
    let room = below[name.len() + 1..].split('/').next()?;
    Some((name.parse().ok()?, room))
}

/// All files of one blob in a repository.
pub fn layer(name: &RepositoryName, digest: &Digest) -> DriverPath {
    path(layer_directory(name, digest))
}

/// The directory of a blob's data.
pub fn blob(digest: &Digest) -> DriverPath {
    path(blob_directory(digest))
}

/// The directory of a repository's uploads.
pub fn uploads(name: &RepositoryName) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_uploads"))
}

/// All files of one upload.
pub fn upload(name: &RepositoryName, id: &UploadId) -> DriverPath {
    path(format!("{REPOSITORIES}/{name}/_uploads/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_repository_and_the_room_in_it() {
        for (path, expected) in [
            ("a/b/_layers/x/y", Some(("a/b", "_layers"))),
            ("a/_manifests", Some(("a", "_manifests"))),
            ("a/_x/_layers", Some(("a", "_x"))),
            ("a__b/_layers/x", Some(("a__b", "_layers"))),
            ("a/b", None),
            ("_layers/x", None),
            ("A/_layers/x", None),
        ] {
            let path: DriverPath = format!("/docker/registry/v2/repositories/{path}").parse().unwrap();
            let place = place_in_repository(&path);
            let place = place.as_ref().map(|(name, room)| (name.as_str(), *room));
            assert_eq!(place, expected, "{path}");
        }
    }

    #[test]
    fn a_prefix_tells_repositories_apart() {
        let names: Vec<RepositoryName> =
            ["a", "a/b", "a-b", "a__b", "ab"].iter().map(|name| name.parse().unwrap()).collect();
        for name in &names {
            let prefix = prefix_in_repository(name);
            for other in &names {
                for path in [manifests(other), layers(other), own(other), uploads(other)] {
                    assert_eq!(path.as_str().starts_with(&prefix), name == other, "{path} {name}");
                }
            }
        }
    }

    #[test]
    fn leftovers_of_interrupted_writes_are_told_from_other_files() {
        let directory = "/docker/registry/v2/repositories/a/_manifests/tags/1/current";
        for (name, temporary) in [
            ("link.0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77.tmp", true),
            ("link", false),
            ("link.tmp", false),
            ("link.1234.tmp", false),
            (".0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77.tmp", false),
            ("link.0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77", false),
        ] {
            let path: DriverPath = format!("{directory}/{name}").parse().unwrap();
            assert_eq!(is_temporary(&path), temporary, "{name}");
        }
    }
}
