//! `Endpoint`: which of the API's endpoints a path belongs to.

use super::fold_name;

/// An endpoint, as Distribution names its handlers in metrics. Ours alone is [`Referrers`](Self::Referrers).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `/v2/`.
    Base,
    /// `/v2/<name>/blobs/<digest>`.
    Blob,
    /// `/v2/<name>/blobs/uploads/`.
    BlobUpload,
    /// `/v2/<name>/blobs/uploads/<session>`.
    BlobUploadChunk,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest,
    /// `/v2/<name>/referrers/<digest>`.
    Referrers,
    /// `/v2/<name>/tags/list`.
    Tags,
}

impl Endpoint {
    /// All of them, each at its index.
    pub const ALL: [Self; 8] = [
        Self::Base,
        Self::Blob,
        Self::BlobUpload,
        Self::BlobUploadChunk,
        Self::Catalog,
        Self::Manifest,
        Self::Referrers,
        Self::Tags,
    ];

    /// The endpoint of a path below the prefix, and the repository's name in it, as it stands there.
    pub fn of(path: &str) -> Option<(Self, Option<&str>)> {
        match path.strip_prefix("/v2/")? {
            "" => Some((Self::Base, None)),
            "_catalog" => Some((Self::Catalog, None)),
            rest => {
                let (name, ending) = fold_name::split(rest)?;
                Some((Self::of_ending(ending)?, Some(name)))
            }
        }
    }

    fn of_ending(ending: &str) -> Option<Self> {
        Some(match ending {
            "/tags/list" => Self::Tags,
            "/blobs/uploads" | "/blobs/uploads/" => Self::BlobUpload,
            _ if ending.starts_with("/blobs/uploads/") => Self::BlobUploadChunk,
            _ if ending.starts_with("/blobs/") => Self::Blob,
            _ if ending.starts_with("/manifests/") => Self::Manifest,
            _ if ending.starts_with("/referrers/") => Self::Referrers,
            _ => return None,
        })
    }

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Blob => "blob",
            Self::BlobUpload => "blob_upload",
            Self::BlobUploadChunk => "blob_upload_chunk",
            Self::Catalog => "catalog",
            Self::Manifest => "manifest",
            Self::Referrers => "referrers",
            Self::Tags => "tags",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_api_has_its_endpoint() {
        for (path, expected) in [
            ("/v2/", Some((Endpoint::Base, None))),
            ("/v2/_catalog", Some((Endpoint::Catalog, None))),
            ("/v2/a/b/tags/list", Some((Endpoint::Tags, Some("a/b")))),
            ("/v2/a/b/manifests/latest", Some((Endpoint::Manifest, Some("a/b")))),
            ("/v2/a/blobs/sha256:00", Some((Endpoint::Blob, Some("a")))),
            ("/v2/a/blobs/uploads/", Some((Endpoint::BlobUpload, Some("a")))),
            ("/v2/a/blobs/uploads/1", Some((Endpoint::BlobUploadChunk, Some("a")))),
            (
                "/v2/a/blobs/uploads/blobs/uploads/1",
                Some((Endpoint::BlobUploadChunk, Some("a/blobs/uploads"))),
            ),
            ("/v2/a/referrers/sha256:00", Some((Endpoint::Referrers, Some("a")))),
            ("/", None),
            ("/v2/a", None),
            ("/v2/a/tags/list/", None),
        ] {
            assert_eq!(Endpoint::of(path), expected, "{path}");
        }
    }

    #[test]
    fn each_endpoint_stands_at_its_index() {
        for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(index, endpoint as usize, "{endpoint:?}");
        }
    }
}
