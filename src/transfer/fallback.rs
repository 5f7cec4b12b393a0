//! Fallback tags, which attach manifests to others where a registry has no referrers API, and where cosign keeps signatures.

use std::collections::HashMap;

use sampan_bundle::{FALLBACK_TAG_HEX, is_fallback_tag};
use sampan_engine::oci::{Digest, Tag};

/// How fallback tags name a digest (OCI distribution-spec, "Referrers Tag Schema").
pub(crate) fn in_tag(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}", digest.algorithm(), &hex[..hex.len().min(FALLBACK_TAG_HEX)])
}

/// The subject of a fallback tag, as [`in_tag`] names it; `None` for other tags.
pub(crate) fn subject_in(tag: &Tag) -> Option<&str> {
    is_fallback_tag(tag).then(|| tag.as_str().split('.').next().unwrap_or_default())
}

/// Whether a fallback tag names the list of its subject's referrers, and not one attachment, as those of cosign do.
pub(crate) fn lists_referrers(tag: &Tag) -> bool {
    is_fallback_tag(tag)
        && tag.as_str().split('-').skip(1).all(|hex| hex.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// The manifest to which a fallback tag attaches another; `None` for other tags, and for those that cut the digest off.
pub fn fallback_subject(tag: &Tag) -> Option<Digest> {
    subject_in(tag)?.replacen('-', ":", 1).parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_tag_names_its_subject() {
        let digest = Digest::sha256_of(b"");
        for (tag, expected) in [
            (in_tag(&digest), Some(digest.clone())),
            (in_tag(&digest) + ".sig", Some(digest)),
            ("1.27".to_owned(), None),
            ("sha256-abc".to_owned(), None),
            (in_tag(&Digest::of(sampan_engine::oci::Algorithm::Sha512, b"")), None),
        ] {
            assert_eq!(fallback_subject(&tag.parse().unwrap()), expected, "{tag}");
        }
    }

    #[test]
    fn a_tag_with_a_suffix_lists_no_referrers() {
        let tag = in_tag(&Digest::sha256_of(b""));
        for (tag, expected) in [
            (tag.clone(), true),
            (in_tag(&Digest::of(sampan_engine::oci::Algorithm::Sha512, b"")), true),
            (tag.clone() + ".sig", false),
            (tag + "-meta", false),
            ("1.27".to_owned(), false),
        ] {
            assert_eq!(lists_referrers(&tag.parse().unwrap()), expected, "{tag}");
        }
    }
}
