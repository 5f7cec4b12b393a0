//! `MediaType`, and the media types that a registry must know by name.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{ManifestKind, spelling};

/// An image manifest of the OCI image-spec.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of the OCI image-spec.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A Docker image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A Docker manifest of schema 1, which no registry should accept any more.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// A signed Docker manifest of schema 1.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The configuration of a Docker image.
pub const DOCKER_IMAGE_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The configuration of a Docker plugin.
pub const DOCKER_PLUGIN_CONFIG: &str = "application/vnd.docker.plugin.v1+json";
/// The configuration of an OCI image.
pub const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The configuration of a Helm chart.
pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// Whether this is the type of an image's configuration.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, DOCKER_IMAGE_CONFIG | OCI_IMAGE_CONFIG)
}

/// Whether this is the type of a layer of an image's file system. Some old tools omit it.
pub fn is_image_layer(media_type: &str) -> bool {
    let prefixes = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
    media_type.is_empty() || prefixes.into_iter().any(|prefix| media_type.starts_with(prefix))
}

/// Whether a layer of this type may live elsewhere, under the descriptor's `urls`: Docker's "foreign" layers.
pub fn is_docker_foreign(media_type: &str) -> bool {
    media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        || media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar"
}

/// Whether a layer of this type may live elsewhere: OCI's "non-distributable" layers.
pub fn is_oci_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
}

/// Whether a layer of this type may live elsewhere, by Docker's or OCI's rule.
pub fn is_nondistributable(media_type: &str) -> bool {
    is_docker_foreign(media_type) || is_oci_nondistributable(media_type)
}

/// The media type of a served manifest: a kind that clients can push, or the type that a stored document names.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// The media type that `text` names; `None` when no manifest can have it.
    ///
    /// Only `application/…` is accepted, and no XML, since browsers execute documents of some other types. Of these,
    /// `application/json` and `application/octet-stream` are rejected: they describe no manifest.
    pub fn named(text: &str) -> Option<Self> {
        let subtype = text.strip_prefix("application/")?;
        // RFC 6838, 4.2.
        let is_name = subtype.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && subtype.len() <= 127
            && subtype.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte));
        let suffix = subtype.rsplit('+').next().unwrap_or(subtype);
        let is_manifest =
            is_name && !matches!(subtype, "json" | "octet-stream") && !suffix.eq_ignore_ascii_case("xml");
        is_manifest.then(|| match ManifestKind::from_media_type(text) {
            Some(kind) => kind.into(),
            None => Self(Cow::Owned(text.to_owned())),
        })
    }

    /// The media type of a stored manifest: the type that it names, else the type of its shape. A document without either is
    /// served as an OCI manifest, as in Distribution.
    ///
    /// This reads keys like Go, which wrote such stores: the last of several equal keys counts, regardless of case.
    /// A push checks that a document is a valid manifest; this never does.
    pub fn of_manifest(bytes: &[u8]) -> Self {
        let shape = Shape::of(bytes).unwrap_or_default();
        if let Some(named) = shape.media_type.as_deref().and_then(Self::named) {
            return named;
        }
        Self(Cow::Borrowed(match shape {
            Shape { schema_version: Some(1), has_signatures: true, .. } => DOCKER_SCHEMA1_SIGNED,
            Shape { schema_version: Some(1), .. } => DOCKER_SCHEMA1,
            Shape { has_manifests: true, .. } => OCI_INDEX,
            _ => OCI_MANIFEST,
        }))
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ManifestKind> for MediaType {
    fn from(kind: ManifestKind) -> Self {
        Self(Cow::Borrowed(kind.media_type()))
    }
}

impl From<MediaType> for Cow<'static, str> {
    fn from(media_type: MediaType) -> Self {
        media_type.0
    }
}

/// The hints to a document's kind in its outermost keys.
#[derive(Debug, Default)]
struct Shape {
    media_type: Option<String>,
    schema_version: Option<i64>,
    has_manifests: bool,
    has_signatures: bool,
}

impl Shape {
    /// `None` when the bytes are not a JSON object.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let shape = json.deserialize_map(ShapeVisitor).ok()?;
        json.end().ok()?;
        Some(shape)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while let Some(key) = map.next_key::<String>()? {
            // A null keeps a text or a number as it was, and empties a list.
            match spelling::manifest_key(&key) {
                Some("mediaType") => {
                    if let Value::String(text) = map.next_value()? {
                        shape.media_type = Some(text);
                    }
                }
                Some("schemaVersion") => {
                    shape.schema_version = map.next_value::<Value>()?.as_i64().or(shape.schema_version);
                }
                Some("manifests") => shape.has_manifests = is_there(&mut map)?,
                Some("signatures") => shape.has_signatures = is_there(&mut map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(shape)
    }
}

fn is_there<'de, A: MapAccess<'de>>(map: &mut A) -> Result<bool, A::Error> {
    Ok(map.next_value::<Option<IgnoredAny>>()?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Manifest;

    #[test]
    fn a_stored_manifest_has_the_type_that_it_names_or_its_shape() {
        let deep = format!(r#"{{"schemaVersion":2,"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let long = format!(r#"{{"mediaType":"application/{}"}}"#, "x".repeat(128));
        for (json, expected) in [
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.x.y+json","manifests":[]}"#,
                "application/vnd.x.y+json",
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":{}}"#,
                OCI_INDEX,
            ),
            (r#"{"mediaType":"application/a","mediaType":"application/b"}"#, "application/b"),
            (r#"{"mediaType":"application/a","MediaType":"application/b"}"#, "application/b"),
            (r#"{"mediaType":"application/a","mediaType":null,"manifests":[]}"#, "application/a"),
            (r#"{"mediaType":null,"manifests":[{}]}"#, OCI_INDEX),
            (r#"{"mediaType":["application/a"],"manifests":[{}]}"#, OCI_INDEX),
            (r#"{"manifests":[],"manifests":null}"#, OCI_MANIFEST),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, DOCKER_SCHEMA1),
            (r#"{"schemaVersion":1,"fsLayers":[],"signatures":[]}"#, DOCKER_SCHEMA1_SIGNED),
            (r#"{"schemaVersion":2,"layers":[{"digest":"x"}]}"#, OCI_MANIFEST),
            (r#"{"mediaType":"text/html","config":{}}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/xhtml+xml"}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/a+XML"}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/xml"}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/xml+json"}"#, "application/xml+json"),
            (r#"{"mediaType":"application/a\r\nX-Evil: 1"}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/json","manifests":[]}"#, OCI_INDEX),
            (r#"{"mediaType":"application/octet-stream"}"#, OCI_MANIFEST),
            (r#"{"mediaType":"application/"}"#, OCI_MANIFEST),
            (&long, OCI_MANIFEST),
            (&deep, OCI_MANIFEST),
            (r#"{"mediaType":"application/a"} x"#, OCI_MANIFEST),
            (r#"["mediaType"]"#, OCI_MANIFEST),
            ("", OCI_MANIFEST),
            ("rubbish", OCI_MANIFEST),
        ] {
            assert_eq!(MediaType::of_manifest(json.as_bytes()).as_str(), expected, "{json:.99}");
        }
    }

    #[test]
    fn what_can_be_pushed_is_served_as_the_kind_that_was_pushed() {
        let config = format!(r#"{{"mediaType":"a/b","digest":"sha256:{}","size":0}}"#, "0".repeat(64));
        for json in [
            format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{config}}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_LIST}","manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"","config":{config},"manifests":null}}"#),
            r#"{"schemaVersion":2,"manifests":[],"layers":null}"#.to_owned(),
        ] {
            let pushed = Manifest::parse_pushed(json.as_bytes(), None).unwrap();
            assert_eq!(MediaType::of_manifest(json.as_bytes()), pushed.kind.into(), "{json}");
        }
    }
}
