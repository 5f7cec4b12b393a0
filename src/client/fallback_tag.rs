//! The fallback tag: a subject's referrers in an index under a tag, for registries without the referrers API (OCI
//! distribution-spec, "Referrers Tag Schema").

use bytes::Bytes;
use sampan_engine::oci::media_type::OCI_INDEX;
use sampan_engine::oci::{Descriptor, Digest, Manifest, MediaType, Reference, Tag};
use serde_json::{Value, json};

use crate::error::{ClientError, Problem};
use crate::manifests::RemoteManifest;
use crate::repository::RepositoryClient;

/// How often an entry is written that other clients overwrite.
const MAX_WRITES: u32 = 8;

/// The tag: the algorithm, a dash, and at most 64 characters of the hash.
#[expect(clippy::expect_used, reason = "both parts have only letters that a tag may have")]
pub(crate) fn fallback_tag(subject: &Digest) -> Tag {
    let hex = subject.hex();
    let text = format!("{}-{}", subject.algorithm(), &hex[..hex.len().min(64)]);
    text.parse().expect("invariant: an algorithm and hexadecimal digits are a tag")
}

impl RepositoryClient {
    /// The entries of a subject's fallback tag, verbatim; none without the tag.
    pub(crate) async fn fallback_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, ClientError> {
        let reference = Reference::Tag(fallback_tag(subject));
        let manifest = self.manifest(&reference).await?;
        let parsed =
            manifest.and_then(|manifest| Manifest::parse(&manifest.bytes, Some(&manifest.media_type)).ok());
        // Another tool may use such a tag for an image, which lists no referrers.
        Ok(parsed.map(|manifest| manifest.manifests).unwrap_or_default())
    }

    /// Adds an entry to a subject's fallback tag: reads, adds, writes, and reads again, since another client may write at
    /// the same time.
    pub(crate) async fn add_to_fallback_tag(
        &self,
        subject: &Digest,
        referrer: &Descriptor,
    ) -> Result<(), ClientError> {
        let tag = fallback_tag(subject);
        self.rewrite_fallback_tag(&tag, |current| merge(current, referrer)).await.map(drop)
    }

    /// Adds the entries of `index` to those under a fallback tag; an index that has all of these takes its place. Returns
    /// whether that needed a write. Other clients may write the tag at the same time.
    ///
    /// # Errors
    ///
    /// As every request; also if other clients kept overwriting the tag.
    pub async fn merge_into_fallback_tag(&self, tag: &Tag, index: &Bytes) -> Result<bool, ClientError> {
        self.rewrite_fallback_tag(tag, |current| merge_index(current, index)).await
    }

    /// Writes what `change` makes of the manifest under a tag, until that is `None`: the tag is as it should be.
    async fn rewrite_fallback_tag(
        &self,
        tag: &Tag,
        change: impl Fn(Option<&RemoteManifest>) -> Option<Bytes>,
    ) -> Result<bool, ClientError> {
        let reference = Reference::Tag(tag.clone());
        for written in 0..=MAX_WRITES {
            let current = self.manifest(&reference).await?;
            let Some(changed) = change(current.as_ref()) else { return Ok(written > 0) };
            if written < MAX_WRITES {
                let media_type = MediaType::of_manifest(&changed);
                // An index has no subject, so this push adds to no other tag.
                Box::pin(self.put_manifest(&reference, media_type.as_str(), changed)).await?;
            }
        }
        let problem = format!("other clients keep overwriting the tag {reference}; push the referrer again");
        Err(ClientError::at(self.connection().transport.registry().as_str(), Problem::Protocol(problem)))
    }
}

/// The index with the entry added; `None` if it has it. Fields that this crate does not know stay as they are.
fn merge(current: Option<&RemoteManifest>, referrer: &Descriptor) -> Option<Bytes> {
    let entry = serde_json::to_value(referrer).ok()?;
    let index = current.and_then(|current| index_in(&current.bytes));
    let index = index.unwrap_or_else(|| json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}));
    with_entries(index, &[entry])
}

/// What the tag names after an index was added to what it names; `None` if nothing changes.
fn merge_index(current: Option<&RemoteManifest>, index: &Bytes) -> Option<Bytes> {
    let entries = |index: &Value| index["manifests"].as_array().cloned().unwrap_or_default();
    let Some(there) = current.and_then(|current| index_in(&current.bytes)) else {
        return Some(index.clone());
    };
    let new = entries(&index_in(index)?);
    let is_new = |entry: &Value| new.iter().any(|it| it["digest"] == entry["digest"]);
    match entries(&there).iter().all(is_new) {
        true => current.is_none_or(|current| current.bytes != *index).then(|| index.clone()),
        false => with_entries(there, &new),
    }
}

/// An index that lists referrers. Something else under the tag makes room, as the specification lets any client overwrite it.
fn index_in(bytes: &Bytes) -> Option<Value> {
    let read = serde_json::from_slice::<Value>(bytes).ok();
    read.filter(|index| index["manifests"].is_array() && index.get("layers").is_none())
}

/// The index with the entries that it lacks; `None` if it lacks none.
fn with_entries(mut index: Value, entries: &[Value]) -> Option<Bytes> {
    index["mediaType"] = OCI_INDEX.into();
    let there = index["manifests"].as_array_mut()?;
    let count = there.len();
    for entry in entries {
        if !there.iter().any(|known| known["digest"] == entry["digest"]) {
            there.push(entry.clone());
        }
    }
    if there.len() == count {
        return None;
    }
    serde_json::to_vec(&index).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(content: &str) -> Descriptor {
        Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: Digest::sha256_of(content.as_bytes()),
            size: 2,
            artifact_type: Some("application/x".to_owned()),
            annotations: Default::default(),
            urls: Vec::new(),
            platform: None,
        }
    }

    fn manifest(json: &str) -> RemoteManifest {
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        RemoteManifest { digest: Digest::sha256_of(&bytes), media_type: OCI_INDEX.to_owned(), bytes }
    }

    #[test]
    fn the_tag_is_cut_for_long_digests() {
        let digest = Digest::of(sampan_engine::oci::Algorithm::Sha512, b"x");
        assert_eq!(fallback_tag(&digest).as_str().len(), "sha512-".len() + 64);
        let digest = Digest::sha256_of(b"x");
        assert_eq!(fallback_tag(&digest).as_str(), format!("sha256-{}", digest.hex()));
    }

    #[test]
    fn an_entry_is_added_once_and_unknown_fields_stay() {
        let one = merge(None, &referrer("a")).unwrap();
        assert_eq!(merge(Some(&manifest(std::str::from_utf8(&one).unwrap())), &referrer("a")), None);
        let kept = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:x","data":"e30="}],"annotations":{"a":"b"}}"#;
        let merged: Value =
            serde_json::from_slice(&merge(Some(&manifest(kept)), &referrer("a")).unwrap()).unwrap();
        assert_eq!(merged["annotations"]["a"], "b");
        assert_eq!(merged["manifests"][0]["data"], "e30=");
        assert_eq!(merged["manifests"][1]["artifactType"], "application/x");
    }

    #[test]
    fn an_index_replaces_one_with_fewer_entries_and_adds_to_others() {
        let index = |digests: &[&str]| {
            let entries: Vec<Value> = digests.iter().map(|digest| json!({ "digest": digest })).collect();
            json!({"schemaVersion": 2, "manifests": entries}).to_string()
        };
        let merged = |there: &str, new: &str| {
            merge_index(Some(&manifest(there)), &Bytes::copy_from_slice(new.as_bytes()))
        };
        let both = index(&["a", "b"]);
        assert_eq!(merged(&index(&["a"]), &both).unwrap(), both.as_bytes());
        assert_eq!(merged("{}", &both).unwrap(), both.as_bytes());
        assert_eq!(merge_index(None, &Bytes::from(both.clone())).unwrap(), both.as_bytes());
        for there in [&both, &index(&["b", "c", "a"])] {
            assert_eq!(merged(there, &both), None, "{there}");
        }
        let added: Value = serde_json::from_slice(&merged(&index(&["c", "a"]), &both).unwrap()).unwrap();
        let digests: Vec<&Value> =
            added["manifests"].as_array().unwrap().iter().map(|it| &it["digest"]).collect();
        assert_eq!(digests, ["c", "a", "b"]);
    }

    #[test]
    fn something_else_under_the_tag_makes_room() {
        for json in ["", "{}", "[]", r#"{"manifests":null}"#, r#"{"layers":[],"config":{}}"#] {
            let merged: Value =
                serde_json::from_slice(&merge(Some(&manifest(json)), &referrer("a")).unwrap()).unwrap();
            assert_eq!(merged["manifests"].as_array().unwrap().len(), 1, "{json}");
        }
    }
}
