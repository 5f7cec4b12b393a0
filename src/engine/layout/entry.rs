//! `Entry`: a file of the layout, and its path.

use sampan_driver::DriverPath;
use uuid::Uuid;

use super::{
    ACCESS_TOKENS, CACHE_COMPARISONS, CACHE_OFFLINE, CACHE_USES, COLLECTION, COMPLETE, DAMAGED, DATES,
    MIGRATION, MOVED, OWN, PURGES, REMOVED, REPOSITORIES, RESERVE, SNAPSHOTS, STORE_ID, SURVEY, SURVEYS,
    SYNC, TAG_LINK, VERIFICATION, blob_directory, layer_directory, mark_directory, own, path,
    referrer_directory, revision_directory,
};
use crate::access_token_id::AccessTokenId;
use crate::job_name::JobName;
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};
use crate::run_id::RunId;
use crate::upload::UploadId;

/// A file of the layout.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Entry {
    /// When an access token ends, earlier than its record says.
    AccessTokenEnds(AccessTokenId),
    /// The rights of an access token.
    AccessTokenRecord(AccessTokenId),
    /// When an access token was last used, roughly.
    AccessTokenUsed(AccessTokenId),
    /// The marker of a store that holds backups: which store it copies.
    BackupOf,
    /// The bytes of a blob or manifest.
    Blob(Digest),
    /// When one process last compared each tag of a cache with its upstream.
    CacheComparisons(Uuid),
    /// The notice that a process asks no other registry.
    CacheOffline(Uuid),
    /// When one process last used each manifest of a cache of another registry.
    CacheUses(Uuid),
    /// The pending deletions of a running collector of an earlier version.
    CollectionDoomed,
    /// When the last completed collection began.
    CollectionLast,
    /// Sign of life of a collector run; the run writes them with ascending numbers.
    CollectionNotice(RunId, u64),
    /// One batch of pending deletions of a run.
    CollectionPending(RunId, u64),
    /// The marker of a running collection by a collector of an earlier version.
    CollectionRun,
    /// Damaged data of a blob or manifest, moved aside at this time, in milliseconds since the epoch.
    Damaged(Digest, u64),
    /// The fault of damaged data, beside them.
    DamagedNote(Digest, u64),
    /// Makes a blob visible in a repository.
    LayerLink(RepositoryName, Digest),
    /// The mark that a manifest of the repository was fetched from another registry.
    Fetched(RepositoryName, Digest),
    /// The notice of a deletion that is about to remove a manifest with all its tags.
    ManifestRemoval(RepositoryName, Digest, Uuid),
    /// The marker of a store that a migration fills: which store it copies.
    MigrationBegun,
    /// The bytes of a blob that a migration copies.
    MigrationStaged(Uuid),
    /// The marker of a store that was moved elsewhere.
    Moved,
    /// The mark that a client pushed a manifest of a cache, whether it was fetched before, after or meanwhile.
    Pushed(RepositoryName, Digest),
    /// A hint that the manifest with the second digest is attached to the first by its `subject`; see
    /// [`Referrers`](crate::Referrers).
    Referrer(RepositoryName, Digest, Digest),
    /// The marker that the index of a repository's referrers is complete.
    ReferrersComplete(RepositoryName),
    /// The record that a tag was removed at this time, in milliseconds since the epoch, from that manifest.
    RemovedTag(RepositoryName, Tag, u64, Digest),
    /// Space for what frees space in a full store.
    Reserve,
    /// Makes a manifest visible in a repository.
    RevisionLink(RepositoryName, Digest),
    /// A snapshot of another store at this time, in seconds since the epoch.
    Snapshot(u64),
    /// The random identifier of the store.
    StoreId,
    /// The figures of each repository, as a walk over the store found them.
    Survey,
    /// The record of a survey without a collection, finished or running; the latest has the highest number.
    SurveyTurn(u64),
    /// The record of a run of a job that copies from another registry; the latest has the highest number.
    SyncRun(JobName, u64),
    /// When tags of a repository were pushed, in the store that a migration has copied.
    TagDates(RepositoryName),
    /// The digest that a tag points at.
    TagCurrent(RepositoryName, Tag),
    /// The digest of a tag's push, if it is not the canonical one.
    TagDigest(RepositoryName, Tag),
    /// One of the manifests that a tag has pointed at.
    TagIndex(RepositoryName, Tag, Digest),
    /// The notice of a deletion that is about to remove a tag, unless the tag moves.
    TagRemoval(RepositoryName, Tag, Uuid),
    /// The record of a purge of uploads, finished or running; the latest has the highest number.
    UploadPurge(u64),
    /// The bytes received by an upload.
    UploadData(RepositoryName, UploadId),
    /// When an upload began.
    UploadStartedAt(RepositoryName, UploadId),
    /// The marker that a restore copies the access tokens.
    TokenRestore,
    /// How far the verification of the store has come.
    Verification,
    /// The record of a part of a verification, finished or running; the latest has the highest number.
    VerificationTurn(u64),
    /// The running hash of an upload after this number of bytes.
    UploadHashState(RepositoryName, UploadId, Algorithm, u64),
}

/// The latest time in the name of a record of a removed tag, in milliseconds since 1970.
const MAX_REMOVED_MS: u64 = 9_999_999_999_999;

impl Entry {
    /// The path of the file.
    pub fn path(&self) -> DriverPath {
        path(match self {
            Self::AccessTokenEnds(id) => format!("{ACCESS_TOKENS}/{id}/ends"),
            Self::AccessTokenRecord(id) => format!("{ACCESS_TOKENS}/{id}/record"),
            Self::AccessTokenUsed(id) => format!("{ACCESS_TOKENS}/{id}/used"),
            Self::BackupOf => format!("{SNAPSHOTS}/of"),
            Self::Blob(digest) => blob_directory(digest) + "/data",
            Self::CacheComparisons(replica) => format!("{CACHE_COMPARISONS}/{replica}"),
            Self::CacheOffline(replica) => format!("{CACHE_OFFLINE}/{replica}"),
            Self::CacheUses(replica) => format!("{CACHE_USES}/{replica}"),
            Self::CollectionDoomed => format!("{COLLECTION}/doomed"),
            Self::CollectionLast => format!("{COLLECTION}/last"),
            Self::CollectionNotice(run, number) => format!("{COLLECTION}/run-{run}-{number}"),
            Self::CollectionPending(run, number) => format!("{COLLECTION}/doomed-{run}-{number}"),
            Self::CollectionRun => format!("{COLLECTION}/run"),
            Self::Damaged(digest, ms) => {
                format!("{DAMAGED}/{}/{}/{ms}/data", digest.algorithm(), digest.hex())
            }
            Self::DamagedNote(digest, ms) => {
                format!("{DAMAGED}/{}/{}/{ms}/note", digest.algorithm(), digest.hex())
            }
            Self::Fetched(name, digest) => {
                mark_directory(name, "fetched", digest.algorithm()) + "/" + digest.hex()
            }
            Self::LayerLink(name, digest) => layer_directory(name, digest) + "/link",
            Self::ManifestRemoval(name, digest, id) => {
                let (algorithm, hex) = (digest.algorithm(), digest.hex());
                format!("{REPOSITORIES}/{name}/_sampan/removals/manifests/{algorithm}/{hex}/{id}")
            }
            Self::MigrationBegun => format!("{MIGRATION}/begun"),
            Self::MigrationStaged(id) => format!("{MIGRATION}/staged/{id}"),
            Self::Moved => MOVED.to_owned(),
            Self::Pushed(name, digest) => {
                mark_directory(name, "pushed", digest.algorithm()) + "/" + digest.hex()
            }
            Self::Referrer(name, subject, digest) => {
                referrer_directory(name, subject, digest.algorithm()) + "/" + digest.hex()
            }
            Self::ReferrersComplete(name) => format!("{REPOSITORIES}/{name}/_sampan/referrers/{COMPLETE}"),
            Self::RemovedTag(name, tag, ms, digest) => {
                let (algorithm, hex) = (digest.algorithm(), digest.hex());
                // Thirteen digits, which suffice until 2286, make names sort by time.
                let ms = (*ms).min(MAX_REMOVED_MS);
                format!("{REMOVED}/{name}/_tags/{tag}/{ms:013}-{algorithm}-{hex}")
            }
            Self::Reserve => RESERVE.to_owned(),
            Self::RevisionLink(name, digest) => revision_directory(name, digest) + "/link",
            Self::Snapshot(seconds) => format!("{SNAPSHOTS}/{seconds}"),
            Self::StoreId => STORE_ID.to_owned(),
            Self::Survey => SURVEY.to_owned(),
            Self::SurveyTurn(number) => format!("{SURVEYS}/{number}"),
            Self::SyncRun(job, number) => format!("{SYNC}/{job}/{number}"),
            Self::TagDates(name) => format!("{DATES}/{name}/_tags"),
            Self::TagCurrent(name, tag) => {
                [REPOSITORIES, name.as_str(), "_manifests/tags", tag.as_str(), TAG_LINK].join("/")
            }
            Self::TagDigest(name, tag) => {
                [REPOSITORIES, name.as_str(), "_sampan/digests", tag.as_str()].join("/")
            }
            Self::TagIndex(name, tag, digest) => format!(
                "{REPOSITORIES}/{name}/_manifests/tags/{tag}/index/{}/{}/link",
                digest.algorithm(),
                digest.hex()
            ),
            Self::TagRemoval(name, tag, id) => {
                format!("{REPOSITORIES}/{name}/_sampan/removals/tags/{tag}/{id}")
            }
            Self::TokenRestore => format!("{MIGRATION}/tokens"),
            Self::UploadPurge(number) => format!("{PURGES}/{number}"),
            Self::UploadData(name, id) => format!("{REPOSITORIES}/{name}/_uploads/{id}/data"),
            Self::UploadStartedAt(name, id) => format!("{REPOSITORIES}/{name}/_uploads/{id}/startedat"),
            Self::Verification => format!("{VERIFICATION}/state"),
            Self::VerificationTurn(number) => format!("{VERIFICATION}/turns/{number}"),
            Self::UploadHashState(name, id, algorithm, offset) => {
                format!("{REPOSITORIES}/{name}/_uploads/{id}/hashstates/{algorithm}/{offset}")
            }
        })
    }

    /// The entry at `path`; `None` when the file does not belong to the layout.
    pub fn parse(path: &DriverPath) -> Option<Self> {
        if let Some(rest) = path.as_str().strip_prefix(OWN) {
            return own::parse(rest);
        }
        let mut parts = path.as_str().strip_prefix("/docker/registry/v2/")?.split('/');
        match parts.next()? {
            "blobs" => {
                let (algorithm, shard, hex) = (parts.next()?, parts.next()?, parts.next()?);
                let digest = digest(algorithm, hex)?;
                (parts.next() == Some("data")
                    && parts.next().is_none()
                    && digest.hex().starts_with(shard)
                    && shard.len() == 2)
                    .then_some(Self::Blob(digest))
            }
            "repositories" => Self::parse_in_repository(parts),
            _ => None,
        }
    }

    /// The entry at the path that a text has; `None` when the text is no path, or no file of the layout.
    pub fn parse_text(path: &str) -> Option<Self> {
        Self::parse(&path.parse().ok()?)
    }

    fn parse_in_repository<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut name = String::new();
        let room = loop {
            match parts.next()? {
                part if part.starts_with('_') => break part,
                part if name.is_empty() => name.push_str(part),
                part => {
                    name.push('/');
                    name.push_str(part);
                }
            }
        };
        let name: RepositoryName = name.parse().ok()?;
        let rest: Vec<&str> = parts.collect();
        match (room, rest.as_slice()) {
            ("_layers", [algorithm, hex, "link"]) => Some(Self::LayerLink(name, digest(algorithm, hex)?)),
            ("_manifests", ["revisions", algorithm, hex, "link"]) => {
                Some(Self::RevisionLink(name, digest(algorithm, hex)?))
            }
            ("_manifests", ["tags", tag, "current", "link"]) => {
                Some(Self::TagCurrent(name, tag.parse().ok()?))
            }
            ("_manifests", ["tags", tag, "index", algorithm, hex, "link"]) => {
                Some(Self::TagIndex(name, tag.parse().ok()?, digest(algorithm, hex)?))
            }
            ("_sampan", ["digests", tag]) => Some(Self::TagDigest(name, tag.parse().ok()?)),
            ("_sampan", ["fetched", algorithm, hex]) => Some(Self::Fetched(name, digest(algorithm, hex)?)),
            ("_sampan", ["pushed", algorithm, hex]) => Some(Self::Pushed(name, digest(algorithm, hex)?)),
            ("_sampan", ["referrers", COMPLETE]) => Some(Self::ReferrersComplete(name)),
            ("_sampan", ["referrers", algorithm, hex, of, referrer]) => {
                Some(Self::Referrer(name, digest(algorithm, hex)?, digest(of, referrer)?))
            }
            ("_sampan", ["removals", "manifests", algorithm, hex, id]) => {
                Some(Self::ManifestRemoval(name, digest(algorithm, hex)?, uuid(id)?))
            }
            ("_sampan", ["removals", "tags", tag, id]) => {
                Some(Self::TagRemoval(name, tag.parse().ok()?, uuid(id)?))
            }
            ("_uploads", [id, "data"]) => Some(Self::UploadData(name, id.parse().ok()?)),
            ("_uploads", [id, "startedat"]) => Some(Self::UploadStartedAt(name, id.parse().ok()?)),
            ("_uploads", [id, "hashstates", algorithm, offset]) => {
                let bytes: u64 = offset.parse().ok()?;
                (bytes.to_string() == **offset).then_some(Self::UploadHashState(
                    name,
                    id.parse().ok()?,
                    algorithm.parse().ok()?,
                    bytes,
                ))
            }
            _ => None,
        }
    }
}

/// Parses a UUID in the layout's spelling.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text)
}

pub(super) fn digest(algorithm: &str, hex: &str) -> Option<Digest> {
    format!("{algorithm}:{hex}").parse().ok()
}

/// Parses a number in the layout's only spelling, so that one file has one name.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digests() -> impl Strategy<Value = Digest> {
        (prop::sample::select(&Algorithm::ALL[..]), any::<[u8; 8]>())
            .prop_map(|(algorithm, bytes)| Digest::of(algorithm, &bytes))
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let name = "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,4}){0,3}"
            .prop_map(|text: String| text.parse::<RepositoryName>().unwrap());
        let tag = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,8}".prop_map(|text: String| text.parse::<Tag>().unwrap());
        let id = Just(()).prop_map(|()| UploadId::random());
        let algorithm = prop::sample::select(&Algorithm::ALL[..]);
        (0..44_usize, name, tag, digests(), id, algorithm, any::<u64>()).prop_map(
            |(which, name, tag, digest, id, algorithm, offset)| match which {
                0 => Entry::Blob(digest),
                1 => Entry::LayerLink(name, digest),
                2 => Entry::RevisionLink(name, digest),
                3 => Entry::TagCurrent(name, tag),
                4 => Entry::TagIndex(name, tag, digest),
                5 => Entry::UploadData(name, id),
                6 => Entry::UploadStartedAt(name, id),
                7 => Entry::CollectionRun,
                8 => Entry::CollectionDoomed,
                9 => Entry::CollectionLast,
                10 => Entry::CollectionNotice(RunId::random(), offset),
                11 => Entry::CollectionPending(RunId::random(), offset),
                12 => Entry::TagRemoval(name, tag, Uuid::from_u128(offset.into())),
                13 => Entry::TagDigest(name, tag),
                14 => Entry::ManifestRemoval(name, digest, Uuid::from_u128(offset.into())),
                15 => Entry::Referrer(name, digest, Digest::sha256_of(&offset.to_be_bytes())),
                16 => Entry::ReferrersComplete(name),
                17 => Entry::UploadPurge(offset),
                18 => Entry::AccessTokenEnds(AccessTokenId::random()),
                19 => Entry::AccessTokenRecord(AccessTokenId::random()),
                20 => Entry::AccessTokenUsed(AccessTokenId::random()),
                28 => Entry::MigrationBegun,
                29 => Entry::MigrationStaged(Uuid::from_u128(offset.into())),
                30 => Entry::Moved,
                35 => Entry::SyncRun(name.as_str().replace('/', "-").parse().unwrap(), offset),
                32 => Entry::BackupOf,
                40 => Entry::CacheComparisons(Uuid::from_u128(offset.into())),
                34 => Entry::CacheUses(Uuid::from_u128(offset.into())),
                33 => Entry::Snapshot(offset),
                31 => Entry::TagDates(name),
                22 => Entry::Survey,
                36 => Entry::StoreId,
                37 => Entry::Reserve,
                38 => Entry::Fetched(name, digest),
                42 => Entry::Pushed(name, digest),
                43 => Entry::TokenRestore,
                39 => Entry::CacheOffline(Uuid::from_u128(offset.into())),
                23 => Entry::SurveyTurn(offset),
                24 => Entry::Damaged(digest, offset),
                25 => Entry::DamagedNote(digest, offset),
                26 => Entry::Verification,
                27 => Entry::VerificationTurn(offset),
                21 => Entry::RemovedTag(name, tag, offset % MAX_REMOVED_MS, digest),
                _ => Entry::UploadHashState(name, id, algorithm, offset),
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_is_found_again_from_its_path(entry in entries()) {
            prop_assert_eq!(Entry::parse(&entry.path()), Some(entry));
        }
    }

    #[test]
    fn foreign_files_are_not_taken_for_ours() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            "/scheduler-state.json".to_owned(),
            "/docker/registry/v2/x".to_owned(),
            "/docker/registry/sampan/purge/007".to_owned(),
            "/docker/registry/sampan/dates/a".to_owned(),
            "/docker/registry/sampan/migration/staged".to_owned(),
            "/docker/registry/sampan/cache/used/replica".to_owned(),
            "/docker/registry/sampan/sync/.job/1".to_owned(),
            "/docker/registry/sampan/sync/job/01".to_owned(),
            format!("/docker/registry/sampan/removed/a/_tags/v1/7-sha256-{hex}"),
            format!("/docker/registry/sampan/removed/a/v1/0000000000007-sha256-{hex}"),
            format!("/docker/registry/sampan/removed/_tags/v1/0000000000007-sha256-{hex}"),
            format!("/docker/registry/sampan/removed/a/_tags/v1/0000000000007-sha256-{hex}/x"),
            "/docker/registry/sampan/access/tokens/ABCDEFGHIJKLMNOP/record".to_owned(),
            "/docker/registry/sampan/access/tokens/abcdefghijklmnop/record/x".to_owned(),
            "/docker/registry/sampan/access/tokens/abcdefghijklmnop".to_owned(),
            format!("/docker/registry/v2/blobs/sha256/e4/{hex}/data"),
            format!("/docker/registry/v2/blobs/sha256/e3/{hex}/data.1234.tmp"),
            format!("/docker/registry/v2/blobs/md5/e3/{hex}/data"),
            format!("/docker/registry/v2/repositories/_layers/sha256/{hex}/link"),
            format!("/docker/registry/v2/repositories/A/_layers/sha256/{hex}/link"),
            format!("/docker/registry/v2/repositories/a/_layers/sha256/{hex}/link.1.tmp"),
            format!(
                "/docker/registry/v2/repositories/a/_manifests/revisions/sha256/{hex}/signatures/sha256/{hex}/link"
            ),
            "/docker/registry/v2/repositories/a/_uploads/x/hashstates/sha256/007".to_owned(),
        ] {
            assert_eq!(Entry::parse(&text.parse().unwrap()), None, "{text}");
        }
    }
}
