//! `Manifest`: the parts of an image manifest or index that a registry must understand.
//!
//! The store holds and serves the bytes verbatim; this is a parsed view of them, which ignores unknown fields.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::descriptor::null_is_empty;
use super::digest::shorten;
use super::{Descriptor, Digest, media_type};

/// The four kinds of manifest that the registry stores. Distribution knows the same four, so both can read one store.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ManifestKind {
    /// Docker image manifest, version 2, schema 2.
    DockerManifest,
    /// Docker manifest list.
    DockerList,
    /// OCI image manifest, artifacts included.
    OciManifest,
    /// OCI image index.
    OciIndex,
}

impl ManifestKind {
    /// The media type of the kind.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::DockerManifest => media_type::DOCKER_MANIFEST,
            Self::DockerList => media_type::DOCKER_LIST,
            Self::OciManifest => media_type::OCI_MANIFEST,
            Self::OciIndex => media_type::OCI_INDEX,
        }
    }

    /// The kind of a media type.
    pub fn from_media_type(text: &str) -> Option<Self> {
        [Self::DockerManifest, Self::DockerList, Self::OciManifest, Self::OciIndex]
            .into_iter()
            .find(|kind| kind.media_type() == text)
    }

    /// Whether the kind refers to other manifests rather than to blobs.
    pub fn is_index(self) -> bool {
        matches!(self, Self::DockerList | Self::OciIndex)
    }
}

/// The most bytes that a stored file may have and still be read as a manifest: a larger file is no manifest, and not worth
/// the memory.
/// Distribution accepts 4 MiB.
pub(crate) const LARGEST_BYTES: u64 = 64 << 20;

/// A parsed manifest: its kind and its references.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// The kind.
    pub kind: ManifestKind,
    /// The configuration of an image, or an artifact's substitute for one.
    pub config: Option<Descriptor>,
    /// The layers of an image, or an artifact's files.
    pub layers: Vec<Descriptor>,
    /// The children of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is attached to; it may not exist (yet).
    pub subject: Option<Descriptor>,
    /// The type of the artifact, if given.
    pub artifact_type: Option<String>,
    /// Arbitrary metadata.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses `bytes`, which a client declared as `content_type`, or which the store holds without a type.
    ///
    /// # Errors
    ///
    /// When the bytes are not one of the four kinds, or not the declared kind.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestProblem> {
        // serde accepts an array as the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(ManifestProblem::Json("it does not begin with `{`".to_owned()));
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| ManifestProblem::Json(error.to_string()))?;
        if raw.signatures.is_some() || raw.fs_layers.is_some() || raw.schema_version == Some(1) {
            return Err(ManifestProblem::Schema1);
        }
        if raw.schema_version != Some(2) {
            return Err(ManifestProblem::SchemaVersion(raw.schema_version));
        }
        let kind = raw.kind(content_type)?;
        raw.check_shape(kind)?;
        Ok(Self {
            kind,
            config: raw.config,
            layers: raw.layers.unwrap_or_default(),
            manifests: raw.manifests.unwrap_or_default(),
            subject: raw.subject,
            artifact_type: raw.artifact_type.filter(|text| !text.is_empty()),
            annotations: raw.annotations,
        })
    }

    /// Parses a pushed manifest. Every client must read it alike, so the rules are stricter than for a stored one.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and when a key differs from a known one only in case, or a list is in the place of an object.
    pub fn parse_pushed(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestProblem> {
        let manifest = Self::parse(bytes, content_type);
        // A misspelled key may be the reason for the parse error.
        match (&manifest, super::spelling::check(bytes)) {
            (_, Err(problem @ ManifestProblem::KeyMisspelled { .. })) => Err(problem),
            (Ok(_), Err(problem)) => Err(problem),
            _ => manifest,
        }
    }

    /// The digests of everything that a pull needs: configuration and layers, or children.
    pub fn references(&self) -> impl Iterator<Item = &Digest> {
        self.config.iter().chain(&self.layers).chain(&self.manifests).map(|descriptor| &descriptor.digest)
    }

    /// Whether a copy of the manifest may lack what one of its references names: an image of an index, or a layer that lives
    /// elsewhere.
    pub fn may_lack(&self, reference: &Descriptor) -> bool {
        self.kind.is_index() || media_type::is_nondistributable(&reference.media_type)
    }

    /// The artifact type in the referrers API: the field, else the configuration's media type (OCI distribution-spec,
    /// "Listing Referrers").
    pub fn effective_artifact_type(&self) -> Option<&str> {
        let config = || self.config.as_ref().map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or_else(config).filter(|text| !text.is_empty())
    }
}

/// The fields as in the JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<i64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
    fs_layers: Option<IgnoredAny>,
    signatures: Option<IgnoredAny>,
}

impl Raw {
    fn kind(&self, content_type: Option<&str>) -> Result<ManifestKind, ManifestProblem> {
        let known = |text: &str| match text {
            media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_SIGNED => Err(ManifestProblem::Schema1),
            _ => {
                ManifestKind::from_media_type(text).ok_or_else(|| ManifestProblem::UnknownType(shorten(text)))
            }
        };
        let inside = self.media_type.as_deref().filter(|text| !text.is_empty());
        let outside = content_type.filter(|text| !text.is_empty() && *text != "application/json");
        match (inside, outside) {
            (Some(inside), Some(outside)) if inside != outside => {
                Err(ManifestProblem::TypesDiffer { inside: shorten(inside), outside: shorten(outside) })
            }
            (Some(inside), _) => known(inside),
            // The store holds only the bytes, so a Docker manifest must name its own type.
            (None, Some(outside)) => match known(outside)? {
                ManifestKind::DockerManifest | ManifestKind::DockerList => {
                    Err(ManifestProblem::TypeMissing(shorten(outside)))
                }
                kind => Ok(kind),
            },
            (None, None) if self.manifests.is_some() => Ok(ManifestKind::OciIndex),
            (None, None) => Ok(ManifestKind::OciManifest),
        }
    }

    /// Rejects a document that is readable as two kinds: such a document can smuggle an image past a scanner
    /// (CVE-2021-41190).
    fn check_shape(&self, kind: ManifestKind) -> Result<(), ManifestProblem> {
        if kind.is_index() {
            if self.config.is_some() || self.layers.is_some() {
                return Err(ManifestProblem::Ambiguous("an index with `config` or `layers`"));
            }
            return match &self.manifests {
                Some(_) => Ok(()),
                None => Err(ManifestProblem::FieldMissing("manifests")),
            };
        }
        if self.manifests.is_some() {
            return Err(ManifestProblem::Ambiguous("an image manifest with `manifests`"));
        }
        match &self.config {
            Some(_) => Ok(()),
            None => Err(ManifestProblem::FieldMissing("config")),
        }
    }
}

/// Why the registry cannot accept some bytes as a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ManifestProblem {
    /// Not JSON, or a field of the wrong type.
    Json(String),
    /// Docker's schema 1.
    Schema1,
    /// `schemaVersion` is not 2.
    SchemaVersion(Option<i64>),
    /// A media type that the registry does not store.
    UnknownType(String),
    /// `Content-Type` and `mediaType` disagree.
    TypesDiffer {
        /// The document's `mediaType`.
        inside: String,
        /// The request's `Content-Type`.
        outside: String,
    },
    /// A Docker manifest without `mediaType`.
    TypeMissing(String),
    /// The document is readable as two kinds.
    Ambiguous(&'static str),
    /// A key that some clients read as another one.
    KeyMisspelled {
        /// The key.
        found: String,
        /// The key that those clients read.
        expected: &'static str,
    },
    /// A required field is missing.
    FieldMissing(&'static str),
    /// The part of the manifest that each list of referrers would carry is too long.
    ListingTooLarge {
        /// The length of `artifactType` and annotations, in bytes.
        size_bytes: usize,
        /// The largest accepted length.
        limit: usize,
    },
    /// A layer has a URL that the rules forbid.
    UrlNotAllowed(String),
    /// A foreign layer has no URL.
    UrlMissing(Digest),
}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "it is not a JSON manifest: {error}"),
            Self::Schema1 => f.write_str("Docker schema 1 is not supported; push with a newer client"),
            Self::SchemaVersion(None) => f.write_str("`schemaVersion` is missing; it must be 2"),
            Self::SchemaVersion(Some(version)) => write!(f, "`schemaVersion` is {version}; it must be 2"),
            Self::UnknownType(text) => write!(
                f,
                "its media type {text:?} is not one of {}, {}, {}, {}",
                media_type::OCI_MANIFEST,
                media_type::OCI_INDEX,
                media_type::DOCKER_MANIFEST,
                media_type::DOCKER_LIST
            ),
            Self::TypesDiffer { inside, outside } => {
                write!(f, "its `mediaType` is {inside:?}, but the Content-Type says {outside:?}")
            }
            Self::TypeMissing(outside) => {
                write!(f, "a manifest of type {outside:?} must have a `mediaType` field")
            }
            Self::Ambiguous(what) => write!(f, "it is {what}, and could be read as two different kinds"),
            Self::KeyMisspelled { found, expected } => write!(
                f,
                "its key {found:?} means `{expected}` to some clients and nothing to others; write `{expected}`"
            ),
            Self::FieldMissing(field) => write!(f, "`{field}` is missing"),
            Self::ListingTooLarge { size_bytes, limit } => write!(
                f,
                "it has a `subject`, and its `artifactType` and `annotations` have {size_bytes} bytes together; at most \
                 {limit} are taken, because every list of the subject's referrers carries them: put what is longer into a layer"
            ),
            Self::UrlNotAllowed(url) => write!(
                f,
                "layer URL {url:?} is not allowed; see `validation.manifests.urls` in the registry's configuration"
            ),
            Self::UrlMissing(digest) => write!(f, "foreign layer {digest} has no `urls`"),
        }
    }
}

impl std::error::Error for ManifestProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":0}}"#)
    }

    fn check(json: &str, content_type: Option<&str>, expected: Result<ManifestKind, &str>) {
        match (Manifest::parse(json.as_bytes(), content_type), expected) {
            (Ok(manifest), Ok(kind)) => assert_eq!(manifest.kind, kind, "{json}"),
            (Err(problem), Err(text)) => assert!(problem.to_string().contains(text), "{json}: {problem}"),
            (actual, expected) => panic!("{json}: {actual:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_four_kinds_are_told_apart() {
        let config = descriptor("application/vnd.example");
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        check(&image, Some(media_type::OCI_MANIFEST), Ok(ManifestKind::OciManifest));
        check(&image, None, Ok(ManifestKind::OciManifest));
        check(&image, Some("application/json"), Ok(ManifestKind::OciManifest));
        check(r#"{"schemaVersion":2,"manifests":[]}"#, None, Ok(ManifestKind::OciIndex));
        for (kind, rest) in [
            (ManifestKind::DockerManifest, format!(r#""config":{config},"layers":[],"extra":{{"a":[1]}}"#)),
            (ManifestKind::DockerList, r#""manifests":[],"annotations":null"#.to_owned()),
            (
                ManifestKind::OciManifest,
                format!(r#""config":{config},"artifactType":"a/b","subject":{config}"#),
            ),
        ] {
            let json = format!(r#"{{"schemaVersion":2,"mediaType":"{}",{rest}}}"#, kind.media_type());
            check(&json, Some(kind.media_type()), Ok(kind));
            check(&json, None, Ok(kind));
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_the_reason() {
        let config = descriptor("application/vnd.example");
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        for (json, content_type, reason) in [
            ("", None, "not a JSON"),
            ("[]", None, "not a JSON"),
            ("{}", None, "`schemaVersion` is missing"),
            (r#"{"schemaVersion":3}"#, None, "it must be 2"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1"),
            (r#"{"schemaVersion":2}"#, None, "`config` is missing"),
            (r#"{"schemaVersion":2}"#, Some(media_type::OCI_INDEX), "`manifests` is missing"),
            (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, None, "two different kinds"),
            (&image, Some("text/plain"), "is not one of"),
            (&image, Some(media_type::DOCKER_MANIFEST), "must have a `mediaType`"),
            (&image, Some(media_type::OCI_INDEX), "two different kinds"),
            (r#"{"schemaVersion":2,"mediaType":"a/b"}"#, Some("c/d"), "Content-Type says"),
            (r#"{"schemaVersion":2,"config":{"digest":"sha256:1","size":1}}"#, None, "invalid digest"),
        ] {
            check(json, content_type, Err(reason));
        }
    }

    #[test]
    fn the_artifact_type_falls_back_to_the_configuration() {
        let json =
            format!(r#"{{"schemaVersion":2,"config":{},"layers":null}}"#, descriptor("application/vnd.sbom"));
        let manifest = Manifest::parse(json.as_bytes(), None).unwrap();
        assert_eq!(manifest.effective_artifact_type(), Some("application/vnd.sbom"));
    }
}
