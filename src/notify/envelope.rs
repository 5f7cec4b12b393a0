//! The JSON posted to endpoints: Distribution's, with the same fields in the same order.

use std::borrow::Cow;

use sampan_engine::oci::{Descriptor, Manifest};
use sampan_engine::{BlobEvent, Event, EventKind, ManifestEvent};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::request::{RequestRecord, RequestSink};

/// The media type of the JSON.
pub(super) const CONTENT_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";

const BLOB_MEDIA_TYPE: &str = "application/octet-stream";

/// The process that events come from.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SourceRecord {
    pub(super) addr: String,
    #[serde(rename = "instanceID")]
    pub(super) instance_id: String,
}

/// Whether a manifest's event lists the manifest's references.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum References {
    Included,
    LeftOut,
}

#[derive(Serialize)]
pub(super) struct Record<'a> {
    id: String,
    timestamp: String,
    pub(super) action: &'static str,
    pub(super) target: Target,
    request: &'a RequestRecord,
    actor: Actor<'a>,
    source: &'a SourceRecord,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) media_type: Cow<'static, str>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(skip_serializing_if = "is_zero")]
    length: u64,
    repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_repository: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Descriptor>,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Record<'a> {
    pub(super) fn new(
        event: &Event,
        sink: &'a RequestSink,
        source: &'a SourceRecord,
        references: References,
    ) -> Self {
        let target = |action, target: Target| (action, target);
        let (action, mut target) = match &event.what {
            EventKind::ManifestPulled(manifest) => {
                target("pull", Target::manifest(event, manifest, sink, references))
            }
            EventKind::ManifestPushed(manifest) => {
                target("push", Target::manifest(event, manifest, sink, references))
            }
            EventKind::BlobPulled(blob) => target("pull", Target::blob(event, blob, sink)),
            EventKind::BlobPushed(blob) => target("push", Target::blob(event, blob, sink)),
            EventKind::BlobMounted { blob, from } => {
                let from_repository = from.as_ref().map(ToString::to_string);
                target("mount", Target { from_repository, ..Target::blob(event, blob, sink) })
            }
            EventKind::ManifestDeleted(digest) | EventKind::BlobDeleted(digest) => {
                target("delete", Target { digest: digest.to_string(), ..Target::default() })
            }
            EventKind::ContentDamaged(digest) => {
                target("damage", Target { digest: digest.to_string(), ..Target::default() })
            }
            EventKind::TagDeleted(tag) => {
                target("delete", Target { tag: Some(tag.to_string()), ..Target::default() })
            }
        };
        target.repository = event.repository.to_string();
        Self {
            id: Uuid::new_v4().to_string(),
            timestamp: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            action,
            target,
            request: &sink.request,
            actor: Actor { name: sink.user.as_deref() },
            source,
        }
    }

    /// The event as one line, for the queue.
    pub(super) fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Target {
    fn manifest(event: &Event, manifest: &ManifestEvent, sink: &RequestSink, references: References) -> Self {
        let size = manifest.bytes.len() as u64;
        let references = match references {
            References::Included => refers_to(&manifest.bytes),
            References::LeftOut => Vec::new(),
        };
        Self {
            media_type: manifest.media_type.clone().into(),
            size,
            digest: manifest.digest.to_string(),
            length: size,
            url: format!("{}/v2/{}/manifests/{}", sink.base, event.repository, manifest.digest),
            tag: manifest.tag.as_ref().map(ToString::to_string),
            references,
            ..Self::default()
        }
    }

    fn blob(event: &Event, blob: &BlobEvent, sink: &RequestSink) -> Self {
        Self {
            media_type: BLOB_MEDIA_TYPE.into(),
            size: blob.size_bytes,
            digest: blob.digest.to_string(),
            length: blob.size_bytes,
            url: format!("{}/v2/{}/blobs/{}", sink.base, event.repository, blob.digest),
            ..Self::default()
        }
    }
}

/// The manifest's references: an image's configuration and layers, an index's children.
fn refers_to(manifest: &[u8]) -> Vec<Descriptor> {
    let Ok(Manifest { config, layers, manifests, .. }) = Manifest::parse(manifest, None) else {
        return Vec::new();
    };
    config.into_iter().chain(layers).chain(manifests).collect()
}

/// The body for a line of the queue: indented by three spaces, as in Distribution.
pub(super) fn envelope(line: &str) -> String {
    indent(&format!("{{\"events\":[{line}]}}"))
}

/// Indents JSON without whitespace. By hand, because parsing it would lose the order of the fields.
fn indent(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    let mut letters = compact.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"   ".repeat(depth));
    };
    while let Some(letter) = letters.next() {
        if in_text {
            out.push(letter);
            in_text = letter != '"' || is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            continue;
        }
        match letter {
            '{' | '[' => {
                out.push(letter);
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => {
                out.push(letter);
                in_text = true;
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_indented_by_three_and_keeps_its_order() {
        let line = r#"{"b":"a,{\"[:\\","a":{},"c":[1,2],"d":{"e":[]}}"#;
        let expected = "{\n   \"events\": [\n      {\n         \"b\": \"a,{\\\"[:\\\\\",\n         \"a\": {},\n         \"c\": [\n            \
                        1,\n            2\n         ],\n         \"d\": {\n            \"e\": []\n         }\n      }\n   ]\n}";
        assert_eq!(envelope(line), expected);
    }
}
