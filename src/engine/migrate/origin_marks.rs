//! Marks of fetched manifests in a merge: what was pushed to either store counts as pushed, so no collection evicts it.

use super::digest_set::DigestSet;
use super::repositories::Files;
use crate::layout::Entry;
use crate::oci::Digest;

/// Takes from `missing` the marks of manifests that the target had without one. Returns the manifests that have a mark at the
/// target and none at the source.
pub(super) fn merge(missing: &mut Files, extra: &Files, here: &DigestSet, there: &DigestSet) -> Vec<Digest> {
    missing.referrers.retain(|entry| !matches!(entry, Entry::Fetched(_, digest) if there.contains(digest)));
    let is_known = |digest: &Digest| {
        let mut entries = missing.referrers.iter().chain(&extra.referrers);
        entries.any(|entry| matches!(entry, Entry::Pushed(_, pushed) if pushed == digest))
    };
    let fetched = extra.referrers.iter().filter_map(|entry| match entry {
        Entry::Fetched(_, digest) if here.contains(digest) && !is_known(digest) => Some(digest.clone()),
        _ => None,
    });
    fetched.collect()
}
