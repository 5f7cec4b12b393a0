//! `Rewrites`: indexes without the platforms that an export leaves out, for registries that refuse an index with gaps.
//!
//! A rewritten index is a pure function of the index in the source and of the platforms, so it is not kept: whatever needs its
//! bytes makes them again, also when an export continues later.

use std::collections::HashMap;

use bytes::Bytes;
use sampan_bundle::{Plan, RewrittenIndex};
use sampan_engine::oci::{Digest, Manifest, Reference, RepositoryName};
use serde_json::Value;

use crate::children::kept;
use crate::draft::problem;
use crate::selection::Platform;
use crate::{Error, Result, Source};

/// The treatment of an index of which some platforms are left out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IndexPolicy {
    /// It stays as it is, with its digest; the far side lacks its other images.
    #[default]
    Keep,
    /// A new index has only the images that are carried.
    Rewrite,
}

/// An image whose index was rewritten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RewrittenImage {
    /// The name.
    pub image: String,
    /// The digest of the index in the source.
    pub from: Digest,
    /// The digest of the new index.
    pub to: Digest,
    /// How many signatures and other referrers of indexes were left out, because they are of the old ones.
    pub left_out_referrers: u64,
}

/// The indexes that an export makes again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewrites {
    platforms: Vec<Platform>,
    /// The indexes of the source that become it, by the new digest.
    from: HashMap<Digest, Vec<Digest>>,
    /// The new digest and length, by the digest in the source.
    to: HashMap<Digest, (Digest, u64)>,
    /// The digests in the source, in the order in which they were added.
    order: Vec<Digest>,
}

impl Rewrites {
    /// None yet, for these platforms.
    pub(crate) fn new(platforms: &[Platform]) -> Self {
        Self { platforms: platforms.to_vec(), ..Self::default() }
    }

    /// Those of a plan.
    ///
    /// # Errors
    ///
    /// `Image` when the plan names an invalid platform.
    pub(crate) fn of(plan: &Plan) -> Result<Self> {
        let platforms = plan.rewritten_for.iter().map(|platform| platform.parse());
        let platforms = platforms.collect::<Result<Vec<Platform>, _>>();
        let mut rewrites = Self::new(&platforms.map_err(|error| problem(error.to_string()))?);
        let sizes = plan.contents.iter().map(|content| (&content.digest, content.size_bytes));
        let sizes: HashMap<&Digest, u64> = match plan.rewritten.is_empty() {
            true => HashMap::new(),
            false => sizes.collect(),
        };
        for RewrittenIndex { digest, from } in &plan.rewritten {
            rewrites.add(from, digest, sizes.get(digest).copied().unwrap_or_default());
        }
        Ok(rewrites)
    }

    pub(crate) fn add(&mut self, from: &Digest, to: &Digest, size_bytes: u64) {
        if self.to.insert(from.clone(), (to.clone(), size_bytes)).is_none() {
            self.from.entry(to.clone()).or_default().push(from.clone());
            self.order.push(from.clone());
        }
    }

    /// The digest under which a manifest of the source is carried.
    pub(crate) fn carried(&self, digest: &Digest) -> Digest {
        self.to.get(digest).map_or(digest, |(digest, _)| digest).clone()
    }

    /// Whether a manifest of the source is rewritten.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.to.contains_key(digest)
    }

    /// Whether a manifest is a new one.
    pub(crate) fn made(&self, digest: &Digest) -> bool {
        self.from.contains_key(digest)
    }

    /// The digests in the source of the indexes that are rewritten.
    pub(crate) fn rewritten(&self) -> impl Iterator<Item = &Digest> {
        self.order.iter()
    }

    /// The new index in the place of one of the source; `None` if nothing of it changes. The indexes in it are rewritten
    /// before.
    ///
    /// # Errors
    ///
    /// `Image` when the index cannot be written again.
    pub(crate) fn rewrite(&self, bytes: &[u8], index: &Manifest) -> Result<Option<Bytes>> {
        let kept = kept(index, &self.platforms);
        let mut children = index.manifests.iter().zip(&kept);
        if !children.any(|(child, kept)| !kept || self.has(&child.digest)) {
            return Ok(None);
        }
        let broken = |what: &str| problem(format!("its index cannot be rewritten: {what}"));
        let mut json: Value = serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?;
        let children = json.get_mut("manifests").and_then(Value::as_array_mut);
        let children = children.ok_or_else(|| broken("it has no `manifests`"))?;
        if children.len() != index.manifests.len() {
            return Err(broken("its `manifests` have no single meaning"));
        }
        let mut places = kept.iter();
        children.retain(|_| places.next().is_some_and(|kept| *kept));
        let old = index.manifests.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(child, _)| child);
        for (child, old) in children.iter_mut().zip(old) {
            if let Some((digest, size_bytes)) = self.to.get(&old.digest) {
                child["digest"] = digest.to_string().into();
                child["size"] = (*size_bytes).into();
            }
        }
        // Its keys are sorted, so the bytes are the same wherever it is made.
        let rewritten = serde_json::to_vec(&json).map_err(|error| broken(&error.to_string()))?;
        Ok(Some(rewritten.into()))
    }

    /// The bytes of a manifest that is carried: of the source, or made of an index there; `None` if both are missing.
    ///
    /// # Errors
    ///
    /// Any error of the source; `Image` when the index there is not the one that was planned.
    pub(crate) async fn manifest(
        &self,
        source: &dyn Source,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Bytes>> {
        // Another repository may have an index that becomes the same one, or that one itself.
        let origins = self.from.get(digest).into_iter().flatten().chain([digest]);
        for origin in origins {
            let found = source.manifest(repository, &Reference::Digest(origin.clone())).await?;
            let Some(found) = found else { continue };
            if origin == digest {
                return Ok(Some(found.bytes));
            }
            let changed = |_| Error::Image {
                image: format!("{repository}@{origin}"),
                problem: "it is not the index that was planned: export again".to_owned(),
            };
            let index = Manifest::parse(&found.bytes, None).map_err(changed)?;
            return Ok(self.rewrite(&found.bytes, &index)?.or(Some(found.bytes)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use sampan_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
    use serde_json::json;

    use super::*;

    fn child(name: &str, architecture: &str) -> Value {
        json!({
            "mediaType": OCI_MANIFEST, "digest": Digest::sha256_of(name.as_bytes()), "size": 7,
            "platform": { "os": "linux", "architecture": architecture }, "urls": [], "x": { "kept": 1 },
        })
    }

    fn index(children: &[Value]) -> Bytes {
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children, "annotations": { "a": "b" }, "unknown": [1],
        });
        index.to_string().into()
    }

    #[test]
    fn a_new_index_has_the_kept_children_and_everything_else() {
        let rewrites = Rewrites::new(&["linux/amd64".parse().unwrap()]);
        let rewrite = |bytes: &Bytes| rewrites.rewrite(bytes, &Manifest::parse(bytes, None).unwrap());
        let (one, two) = (child("one", "amd64"), child("two", "arm64"));
        let mut attestation = child("of two", "unknown");
        attestation["annotations"] = json!({ "vnd.docker.reference.digest": two["digest"] });
        // The same manifest for two platforms is kept once.
        let again = child("one", "arm64");
        let old = index(&[two.clone(), one.clone(), again, attestation]);
        assert_eq!(rewrite(&old).unwrap().unwrap(), index(std::slice::from_ref(&one)));
        assert_eq!(rewrite(&index(&[one])).unwrap(), None, "nothing is left out");
        assert_eq!(
            rewrite(&index(&[two])).unwrap().unwrap(),
            index(&[]),
            "an index in another one may be empty"
        );
    }

    #[test]
    fn an_index_of_a_rewritten_index_has_its_new_digest_and_length() {
        let mut rewrites = Rewrites::new(&["linux/amd64".parse().unwrap()]);
        let (inner, new) = (Digest::sha256_of(b"inner"), Digest::sha256_of(b"new"));
        rewrites.add(&inner, &new, 1234);
        let nested =
            |digest: &Digest, size: u64| json!({ "mediaType": OCI_INDEX, "digest": digest, "size": size });
        let old = index(&[nested(&inner, 9), child("one", "amd64")]);
        let rewritten = rewrites.rewrite(&old, &Manifest::parse(&old, None).unwrap()).unwrap().unwrap();
        assert_eq!(rewritten, index(&[nested(&new, 1234), child("one", "amd64")]));
    }
}
