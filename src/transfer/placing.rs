//! Finds the content of a plan in a source again, to continue an export or to make one part again.

use std::collections::{HashMap, HashSet};

use sampan_bundle::Plan;
use sampan_engine::oci::{Digest, Manifest, RepositoryName};

use crate::rewrite::Rewrites;
use crate::{Error, Result, Source};

/// A repository for each content of `plan`.
///
/// # Errors
///
/// `Image` when a manifest is no longer there; any error of the source.
pub async fn places(source: &dyn Source, plan: &Plan) -> Result<HashMap<Digest, RepositoryName>> {
    let carried: HashSet<&Digest> = plan.contents.iter().map(|content| &content.digest).collect();
    let rewrites = Rewrites::of(plan)?;
    let mut places: HashMap<Digest, RepositoryName> = HashMap::new();
    for (repository, image) in plan.images() {
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut pending: Vec<Digest> = vec![image.digest.clone()];
        pending.extend(image.referrers.iter().map(|referrer| referrer.digest.clone()));
        while let Some(digest) = pending.pop() {
            if !carried.contains(&digest) || !seen.insert(digest.clone()) {
                continue;
            }
            // An index of another repository may have become the same one, and everything in it has a place.
            if rewrites.made(&digest) && places.contains_key(&digest) {
                continue;
            }
            let Some(bytes) = rewrites.manifest(source, &repository.name, &digest).await? else {
                let image = format!("{}@{digest}", repository.name);
                return Err(Error::Image {
                    image,
                    problem: "it is no longer there: export again".to_owned(),
                });
            };
            // The manifest is read where it is a manifest, even if another repository has it as a blob.
            places.insert(digest, repository.name.clone());
            let Ok(manifest) = Manifest::parse(&bytes, None) else { continue };
            for reference in manifest.references().filter(|reference| carried.contains(reference)) {
                match manifest.kind.is_index()
                    && rewrites.manifest(source, &repository.name, reference).await?.is_some()
                {
                    true => pending.push(reference.clone()),
                    false => {
                        places.entry(reference.clone()).or_insert_with(|| repository.name.clone());
                    }
                }
            }
        }
    }
    Ok(places)
}
