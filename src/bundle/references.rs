//! `References`: what the manifests of a bundle refer to, and the bundle lacks.
//!
//! A hostile plan may have as many images as it has room for, all of them over the same large index. So a manifest is read once,
//! few bytes of each reference are kept, and the walk over the images, which leave out different references, has a bound.

use std::collections::{HashMap, HashSet};

use sampan_engine::oci::{Digest, Manifest};

use crate::{Plan, PlannedImage};

/// The most steps of a walk over the images: some seconds. A large bundle of ordinary images takes a hundredth of them.
pub(crate) const MAX_STEPS: u64 = 100_000_000;

/// The references of the manifests of a bundle, as far as they matter.
pub(crate) struct References<'a> {
    /// All content that the plan names has a number, first what the bundle carries, in its order, then what it presumes, then
    /// what images leave out.
    numbers: HashMap<&'a Digest, u32>,
    digests: Vec<&'a Digest>,
    /// The count of the content that the bundle carries.
    carried: u32,
    /// The count of the content that the bundle carries or presumes.
    here: u32,
    /// By the number of the manifest; one that refers to neither is absent.
    manifests: HashMap<u32, ManifestReferences>,
}

/// The references of a manifest, by their numbers.
#[derive(Default)]
struct ManifestReferences {
    /// The content of an index that the bundle carries.
    children: Vec<u32>,
    /// Content that is neither here nor presumed, and may be left out.
    gaps: Vec<u32>,
}

/// A reference to content that is neither here nor presumed, and that an image does not leave out.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct MissingReference {
    /// The index of the manifest in the plan.
    pub(crate) manifest: usize,
    /// The digest that it refers to.
    pub(crate) digest: Digest,
}

/// The images have more combinations of references and gaps than are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooIntricate;

impl<'a> References<'a> {
    /// The content of a plan, without the references of its manifests.
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let mut references = Self {
            numbers: HashMap::new(),
            digests: Vec::new(),
            carried: 0,
            here: 0,
            manifests: HashMap::new(),
        };
        // The length of a plan bounds these counts.
        plan.contents.iter().for_each(|content| references.number(&content.digest));
        references.carried = references.digests.len() as u32;
        plan.presumed.iter().for_each(|presumed| references.number(&presumed.digest));
        references.here = references.digests.len() as u32;
        let left_out = plan.images().flat_map(|(_, image)| &image.left_out);
        left_out.for_each(|it| references.number(&it.digest));
        references
    }

    fn number(&mut self, digest: &'a Digest) {
        let next = self.digests.len() as u32;
        if *self.numbers.entry(digest).or_insert(next) == next {
            self.digests.push(digest);
        }
    }

    /// Adds the references of the manifest with this index in the plan. Returns those that no image may lack, or none leaves out,
    /// and that are neither here nor presumed.
    pub(crate) fn add(&mut self, index: usize, manifest: &Manifest) -> Vec<MissingReference> {
        let (mut missing, mut found) = (HashSet::new(), ManifestReferences::default());
        let all = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
        for reference in all {
            match self.numbers.get(&reference.digest) {
                Some(number) if *number < self.carried && manifest.kind.is_index() => {
                    found.children.push(*number);
                }
                Some(number) if *number < self.here => {}
                Some(number) if manifest.may_lack(reference) => found.gaps.push(*number),
                Some(_) | None => _ = missing.insert(&reference.digest),
            }
        }
        for numbers in [&mut found.children, &mut found.gaps] {
            numbers.sort_unstable();
            numbers.dedup();
            numbers.shrink_to_fit();
        }
        if !found.children.is_empty() || !found.gaps.is_empty() {
            self.manifests.insert(index as u32, found);
        }
        missing
            .into_iter()
            .map(|digest| MissingReference { manifest: index, digest: digest.clone() })
            .collect()
    }

    /// The references that an image needs and does not leave out, sorted, found in at most `max_steps` steps.
    pub(crate) fn not_left_out(
        &self,
        plan: &'a Plan,
        max_steps: u64,
    ) -> Result<Vec<MissingReference>, TooIntricate> {
        let leads = self.leading_to_gaps();
        let mut compared = HashSet::new();
        // The gaps that an image does not leave out, of each manifest.
        let mut lacking: HashMap<u32, Vec<bool>> = HashMap::new();
        // The last image that came to a manifest, and the last that leaves content out.
        let (mut seen, mut leaves_out) = (vec![0; self.carried as usize], vec![0; self.digests.len()]);
        let mut steps = 0;
        for ((_, image), walk) in plan.images().zip(1_u32..) {
            let mut pending = self.roots(image, &leads);
            if pending.is_empty() {
                continue;
            }
            let mut left_out: Vec<u32> =
                self.numbers_of(image.left_out.iter().map(|it| &it.digest)).collect();
            left_out.sort_unstable();
            left_out.iter().for_each(|number| leaves_out[*number as usize] = walk);
            // An image is often in several repositories.
            if !compared.insert((pending.clone(), left_out)) {
                continue;
            }
            pending.iter().for_each(|root| seen[*root as usize] = walk);
            while let Some(number) = pending.pop() {
                let Some(manifest) = self.manifests.get(&number) else { continue };
                steps += (manifest.gaps.len() + manifest.children.len()) as u64;
                if steps > max_steps {
                    return Err(TooIntricate);
                }
                let lacking = lacking.entry(number).or_insert_with(|| vec![false; manifest.gaps.len()]);
                for (gap, lacking) in manifest.gaps.iter().zip(lacking) {
                    *lacking |= leaves_out[*gap as usize] != walk;
                }
                for child in manifest.children.iter().map(|child| *child as usize) {
                    if leads[child] && seen[child] != walk && leaves_out[child] != walk {
                        seen[child] = walk;
                        pending.push(child as u32);
                    }
                }
            }
        }
        let mut missing = Vec::new();
        for (number, lacking) in lacking {
            let gaps = self.manifests.get(&number).into_iter().flat_map(|manifest| &manifest.gaps);
            let gaps = gaps.zip(lacking).filter(|(_, is_lacking)| *is_lacking);
            missing.extend(gaps.map(|(gap, _)| MissingReference {
                manifest: number as usize,
                digest: self.digests[*gap as usize].clone(),
            }));
        }
        missing.sort();
        Ok(missing)
    }

    /// Which carried content has a gap, or an index on the way to one.
    fn leading_to_gaps(&self) -> Vec<bool> {
        let edges =
            self.manifests.iter().flat_map(|(parent, it)| it.children.iter().map(|child| (*child, *parent)));
        let mut edges: Vec<(u32, u32)> = edges.collect();
        edges.sort_unstable();
        let mut leads = vec![false; self.carried as usize];
        let with_gaps = self.manifests.iter().filter(|(_, manifest)| !manifest.gaps.is_empty());
        let mut pending: Vec<u32> = with_gaps.map(|(number, _)| *number).collect();
        while let Some(number) = pending.pop() {
            if std::mem::replace(&mut leads[number as usize], true) {
                continue;
            }
            let first = edges.partition_point(|(child, _)| *child < number);
            let parents = edges[first..].iter().take_while(|(child, _)| *child == number);
            pending.extend(parents.map(|(_, parent)| *parent).filter(|parent| !leads[*parent as usize]));
        }
        leads
    }

    /// The manifests of an image and its referrers that lead to a gap, sorted.
    fn roots(&self, image: &PlannedImage, leads: &[bool]) -> Vec<u32> {
        let attached = image.referrers.iter().map(|referrer| &referrer.digest);
        let digests = [&image.digest].into_iter().chain(attached);
        let mut roots: Vec<u32> = self
            .numbers_of(digests)
            .filter(|number| leads.get(*number as usize).copied().unwrap_or_default())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn numbers_of<'d>(&self, digests: impl Iterator<Item = &'d Digest>) -> impl Iterator<Item = u32> {
        digests.filter_map(|digest| self.numbers.get(digest).copied())
    }
}

#[cfg(test)]
mod tests {
    use sampan_engine::oci::media_type;
    use serde_json::json;

    use super::*;
    use crate::{ContentKind, LeftOut, PlannedContent, PlannedRepository};

    fn digest(name: &str) -> Digest {
        Digest::sha256_of(name.as_bytes())
    }

    fn index(references: &[&str]) -> Manifest {
        let references = references
            .iter()
            .map(|name| json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest(name), "size": 1 }));
        let references: Vec<_> = references.collect();
        let index =
            json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": references });
        Manifest::parse(index.to_string().as_bytes(), None).unwrap()
    }

    /// A plan of these manifests, and of a repository for each image, which leaves out some digests.
    fn plan(manifests: &[&str], images: &[(&str, &[&str])]) -> Plan {
        let image = |(image, left_out): &(&str, &[&str])| PlannedImage {
            digest: digest(image),
            tags: Vec::new(),
            media_type: media_type::OCI_INDEX.to_owned(),
            left_out: left_out
                .iter()
                .map(|name| LeftOut { digest: digest(name), platform: String::new() })
                .collect(),
            referrers: Vec::new(),
        };
        let repository = |(number, it)| PlannedRepository {
            name: format!("r{number}").parse().unwrap(),
            complete: false,
            images: vec![image(it)],
        };
        Plan {
            contents: manifests
                .iter()
                .map(|name| PlannedContent {
                    digest: digest(name),
                    size_bytes: 1,
                    kind: ContentKind::Manifest,
                })
                .collect(),
            repositories: images.iter().enumerate().map(repository).collect(),
            ..Plan::default()
        }
    }

    fn missing(manifest: usize, name: &str) -> MissingReference {
        MissingReference { manifest, digest: digest(name) }
    }

    #[test]
    fn an_image_lacks_what_it_does_not_leave_out_itself() {
        let images = [("top", &["gap"][..]), ("top", &[]), ("below", &["gap", "other"]), ("top", &["below"])];
        let plan = plan(&["top", "below", "apart"], &images);
        let mut references = References::new(&plan);
        assert_eq!(references.add(0, &index(&["below", "below"])), []);
        assert_eq!(references.add(1, &index(&["gap", "other"])), []);
        assert_eq!(references.add(2, &index(&["nowhere", "gap", "nowhere"])), [missing(2, "nowhere")]);
        let mut expected = [missing(1, "gap"), missing(1, "other")];
        expected.sort();
        assert_eq!(references.not_left_out(&plan, 100).unwrap(), expected);
    }

    #[test]
    fn a_walk_over_the_images_ends() {
        let names: Vec<String> = (0..200).map(|number| format!("gap {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let same: Vec<(&str, &[&str])> = vec![("top", &names); 200];
        let different: Vec<(&str, &[&str])> = (0..200).map(|number| ("top", &names[..number])).collect();
        for (images, is_compared) in [(same, true), (different, false)] {
            let plan = plan(&["top"], &images);
            let mut references = References::new(&plan);
            assert_eq!(references.add(0, &index(&names[..199])), []);
            let found = references.not_left_out(&plan, 1000);
            assert_eq!(found, if is_compared { Ok(Vec::new()) } else { Err(TooIntricate) });
        }
    }

    #[test]
    fn only_an_index_leads_to_the_gaps_of_another_manifest() {
        let plan = plan(&["artifact", "index"], &[("artifact", &[]), ("index", &["gap"])]);
        let mut references = References::new(&plan);
        let artifact = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": { "mediaType": "text/plain", "digest": digest("index"), "size": 1 },
            "layers": [],
        });
        let artifact = Manifest::parse(artifact.to_string().as_bytes(), None).unwrap();
        assert_eq!(references.add(0, &artifact), []);
        assert_eq!(references.add(1, &index(&["gap"])), []);
        assert_eq!(references.not_left_out(&plan, 100).unwrap(), []);
    }
}
