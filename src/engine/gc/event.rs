//! `Event`: a finding of a collection, in the words that Distribution prints.

use std::fmt;

use sampan_driver::DriverPath;

use crate::oci::{Digest, RepositoryName, Tag};
use crate::upload::UploadId;

/// A finding of a collection. `Display` gives the line that Distribution prints for it, to the byte. Findings that
/// Distribution does not look for have their own lines, after all of those.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The marking of a repository begins.
    Repository(&'a RepositoryName),
    /// A manifest is live.
    MarkedManifest(&'a RepositoryName, &'a Digest),
    /// A blob is live, seen for the first time.
    MarkedBlob(&'a RepositoryName, &'a Digest),
    /// Untagged manifests are deleted, and the repository has no tags at all.
    NoTags(&'a RepositoryName),
    /// A manifest is garbage; the event carries all tags of the repository.
    ManifestEligible(&'a RepositoryName, &'a Digest, &'a [Tag]),
    /// The marking is over: the numbers of live manifests and blobs, of garbage blobs and of garbage manifests.
    Summary {
        /// Live manifests and blobs.
        marked: u64,
        /// Blobs that are garbage.
        blobs: u64,
        /// Manifests that are garbage.
        manifests: u64,
    },
    /// A blob is garbage.
    BlobEligible(&'a Digest),
    /// A layer link is garbage.
    LayerLinkEligible(&'a RepositoryName, &'a Digest),
    /// An entry in a tag's history names a manifest that no longer exists.
    TagEntryEligible(&'a RepositoryName, &'a Tag, &'a Digest),
    /// An upload is abandoned.
    UploadEligible(&'a RepositoryName, &'a UploadId),
    /// An interrupted write left a temporary file.
    TemporaryEligible(&'a DriverPath),
    /// A repository has no content, or none any more.
    RepositoryEligible(&'a RepositoryName),
    /// A file cannot be read; it stays, with everything that it may refer to.
    Unreadable(&'a DriverPath, &'a str),
    /// A file is foreign; it stays.
    Foreign(&'a DriverPath),
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => write!(f, "{name}"),
            // Distribution prints the trailing blank.
            Self::MarkedManifest(name, digest) => write!(f, "{name}: marking manifest {digest} "),
            Self::MarkedBlob(name, digest) => write!(f, "{name}: marking blob {digest}"),
            Self::NoTags(name) => write!(f, "manifest tags path of repository {name} does not exist"),
            Self::ManifestEligible(name, digest, tags) => {
                write!(f, "manifest eligible for deletion: {{{name} {digest} [")?;
                for (index, tag) in tags.iter().enumerate() {
                    write!(f, "{}{tag}", if index == 0 { "" } else { " " })?;
                }
                f.write_str("]}")
            }
            Self::Summary { marked, blobs, manifests } => write!(
                f,
                "\n{marked} blobs marked, {blobs} blobs and {manifests} manifests eligible for deletion"
            ),
            Self::BlobEligible(digest) => write!(f, "blob eligible for deletion: {digest}"),
            Self::LayerLinkEligible(name, digest) => {
                write!(f, "{name}: layer link eligible for deletion: {digest}")
            }
            Self::TagEntryEligible(name, tag, digest) => {
                write!(f, "{name}: history of tag {tag} eligible for deletion: {digest}")
            }
            Self::UploadEligible(name, id) => write!(f, "{name}: upload eligible for deletion: {id}"),
            Self::TemporaryEligible(path) => write!(f, "temporary file eligible for deletion: {path}"),
            Self::RepositoryEligible(name) => {
                write!(f, "repository without content, no longer listed: {name}")
            }
            Self::Unreadable(path, reason) => {
                write!(f, "unreadable, kept with all it may refer to: {path}: {reason}")
            }
            Self::Foreign(path) => write!(f, "foreign file, left alone: {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_distribution() {
        let name: RepositoryName = "library/alpine".parse().unwrap();
        let digest = Digest::sha256_of(b"");
        let tags: [Tag; 2] = ["1".parse().unwrap(), "2".parse().unwrap()];
        let hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (event, line) in [
            (Event::Repository(&name), "library/alpine".to_owned()),
            (Event::MarkedManifest(&name, &digest), format!("library/alpine: marking manifest {hash} ")),
            (Event::MarkedBlob(&name, &digest), format!("library/alpine: marking blob {hash}")),
            (
                Event::NoTags(&name),
                "manifest tags path of repository library/alpine does not exist".to_owned(),
            ),
            (
                Event::ManifestEligible(&name, &digest, &tags),
                format!("manifest eligible for deletion: {{library/alpine {hash} [1 2]}}"),
            ),
            (
                Event::ManifestEligible(&name, &digest, &[]),
                format!("manifest eligible for deletion: {{library/alpine {hash} []}}"),
            ),
            (
                Event::Summary { marked: 3, blobs: 2, manifests: 1 },
                "\n3 blobs marked, 2 blobs and 1 manifests eligible for deletion".to_owned(),
            ),
            (Event::BlobEligible(&digest), format!("blob eligible for deletion: {hash}")),
            (
                Event::LayerLinkEligible(&name, &digest),
                format!("library/alpine: layer link eligible for deletion: {hash}"),
            ),
        ] {
            assert_eq!(event.to_string(), line);
        }
    }
}
