//! Fallback tags, which attach manifests to others where a registry has no referrers API, and where cosign keeps signatures.

use std::collections::HashMap;

use sampan_bundle::is_fallback_tag;
use sampan_engine::oci::{Digest, Tag};

/// The longest tag, in characters.
const MAX_TAG_LEN: usize = 128;

/// How fallback tags name a digest (OCI distribution-spec, "Referrers Tag Schema").
pub(crate) fn in_tag(digest: &Digest) -> String {
    let text: String = digest.to_string().replacen(':', "-", 1);
    text.chars().take(MAX_TAG_LEN).collect()
}

/// The subject of a fallback tag, as [`in_tag`] names it; `None` for other tags.
pub(crate) fn subject_in(tag: &Tag) -> Option<&str> {
    is_fallback_tag(tag).then(|| tag.as_str().split('.').next().unwrap_or_default())
}

/// The fallback tags, by the digest that they belong to.
pub(crate) fn fallback_tags(tags: &[Tag]) -> HashMap<String, Vec<Tag>> {
    let mut found: HashMap<String, Vec<Tag>> = HashMap::new();
    for tag in tags {
        if let Some(subject) = subject_in(tag) {
            found.entry(subject.to_owned()).or_default().push(tag.clone());
        }
    }
    found
}
