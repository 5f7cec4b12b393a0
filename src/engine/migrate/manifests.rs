//! Manifests of one repository: what each needs comes first, then its data, then its link.
//!
//! An index of which a platform is missing at the source is copied as it is, and so is an image in a cache, and one whose layer
//! lies elsewhere. An image whose layer or configuration is missing or damaged there is not copied: at the target no client
//! could pull it, under a tag that seems to be fine. Without it a client gets "not found", and a push restores the image whole.
//! If the target has the part already, of a time before the damage, the manifest is copied.

use bytes::Bytes;
use sampan_driver::{DriverPath, StorageDriverExt};

use super::Result;
use super::copier::{Data, Failure};
use super::error::NameStore;
use super::report::Broken;
use super::repository::{ImagePart, RepositoryCopy};
use crate::layout::Entry;
use crate::link;
use crate::oci::media_type::is_nondistributable;
use crate::oci::{Descriptor, Digest, Manifest};

/// The parts of a manifest.
#[derive(Debug, Default)]
struct Needs {
    parts: Vec<Need>,
    /// The parts are manifests.
    is_index: bool,
    subject: Option<Digest>,
}

/// A part of a manifest.
#[derive(Debug)]
struct Need {
    digest: Digest,
    /// Without it the image is as it was pushed.
    is_optional: bool,
}

/// A larger file is no manifest, and its parts are not looked for. Distribution accepts 4 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// The same for a manifest of an unknown kind, whose parts are looked for in all of it.
const MAX_UNKNOWN_BYTES: usize = 4 << 20;

/// An attempt to copy a manifest.
enum Attempt {
    Settled(ImagePart),
    /// These children have to be copied first.
    Needs(Vec<Digest>),
}

impl RepositoryCopy {
    /// Copies a manifest that has no children, or whose children are there; returns the children that are not.
    pub(super) async fn try_revision(&self, digest: &Digest) -> Result<Option<Vec<Digest>>> {
        match self.attempt(digest).await? {
            Attempt::Settled(part) => {
                self.record_outcome(digest, part);
                Ok(None)
            }
            Attempt::Needs(children) => Ok(Some(children)),
        }
    }

    /// Copies a manifest, and before it the manifests that it refers to.
    pub(super) async fn revision(&self, digest: &Digest) -> Result<ImagePart> {
        let mut todo = vec![digest.clone()];
        while let Some(next) = todo.last().cloned() {
            if self.settled(&next).is_some() {
                todo.pop();
                continue;
            }
            if let Some(children) = self.try_revision(&next).await? {
                todo.extend(children);
            }
        }
        Ok(self.settled(digest).unwrap_or(ImagePart::Missing))
    }

    async fn attempt(&self, digest: &Digest) -> Result<Attempt> {
        if !digest.is_canonical() {
            return self.attempt_alias(digest).await;
        }
        let missing = Ok(Attempt::Settled(ImagePart::Missing));
        let link = Entry::RevisionLink(self.name.clone(), digest.clone());
        if !self.is_known_in_source(digest) && !self.copier.source.exists(&link.path()).await.at_source()? {
            return missing;
        }
        let Some(bytes) = self.read(digest).await? else {
            if self.is_kept(&link.path()).await? {
                self.copier.note_lost(digest);
            }
            return missing;
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(reason) => return Ok(Attempt::Settled(self.damaged(digest, reason))),
        };
        let needs = Needs::of(&bytes);
        let (mut children, mut lost) = (Vec::new(), Vec::new());
        for Need { digest: part, is_optional } in &needs.parts {
            let found = match self.settled(part) {
                Some(found) => found,
                None if needs.is_index && self.is_known_in_source(part) => {
                    children.push(part.clone());
                    continue;
                }
                // An index may have blobs for children, such as a build cache.
                None => match self.layer(part).await? {
                    ImagePart::Missing if needs.is_index && part != digest => {
                        children.push(part.clone());
                        continue;
                    }
                    found => found,
                },
            };
            match found {
                ImagePart::Broken(because) => return Ok(Attempt::Settled(ImagePart::Broken(because))),
                ImagePart::Missing if !is_optional => lost.push(part),
                ImagePart::There | ImagePart::Missing => {}
            }
        }
        if !children.is_empty() {
            return Ok(Attempt::Needs(children));
        }
        if let Some(first) = lost.first()
            && !self.copier.caches.contains(&self.name)
        {
            if !self.is_kept(&link.path()).await? {
                return missing;
            }
            for part in &lost {
                self.copier.lose_part(&self.name, part).await?;
            }
            return Ok(Attempt::Settled(ImagePart::Broken((*first).clone())));
        }
        self.write(digest, bytes, needs.subject).await?;
        Ok(Attempt::Settled(ImagePart::There))
    }

    /// Whether the source is to have the manifest of this link, and all that it needs: one that was deleted meanwhile needs
    /// nothing, and a cache lacks what no client has asked for.
    async fn is_kept(&self, link: &DriverPath) -> Result<bool> {
        Ok(!self.copier.caches.contains(&self.name) && self.copier.source.exists(link).await.at_source()?)
    }

    /// Copies a link of another algorithm, after the one that it names.
    async fn attempt_alias(&self, digest: &Digest) -> Result<Attempt> {
        let alias = Entry::RevisionLink(self.name.clone(), digest.clone());
        let Some(canonical) = self.read_alias(&alias).await? else {
            return Ok(Attempt::Settled(ImagePart::Missing));
        };
        Ok(match self.settled(&canonical) {
            None => Attempt::Needs(vec![canonical]),
            Some(ImagePart::There) => {
                if self.has_to_link(digest) {
                    let file = link::file(&alias, &canonical);
                    self.copier.put_all(&[file], |copied| copied.revisions += 1).await?;
                }
                Attempt::Settled(ImagePart::There)
            }
            Some(part) => Attempt::Settled(part),
        })
    }

    /// The bytes of a manifest of the source, or why they are damaged; `None` if there are none.
    pub(super) async fn read(&self, digest: &Digest) -> Result<Option<Result<Bytes, String>>> {
        let path = Entry::Blob(digest.clone()).path();
        let Some(file) = self.copier.source.stat_if_any(&path).await.at_source()? else { return Ok(None) };
        if file.size_bytes > MAX_BYTES {
            return Ok(Some(Err(format!("it is no manifest: it has {} bytes", file.size_bytes))));
        }
        let bytes = match self.copier.source.get_content(&path).await {
            Ok(bytes) => bytes,
            Err(error) => match self.copier.classify(error)? {
                Failure::Gone => return Ok(None),
                Failure::Damaged(reason) => return Ok(Some(Err(reason))),
            },
        };
        let actual = Digest::sha256_of(&bytes);
        Ok(Some(match actual == *digest {
            true => Ok(bytes),
            false => Err(format!("its content hashes to {actual}")),
        }))
    }

    fn damaged(&self, digest: &Digest, reason: String) -> ImagePart {
        self.copier.damaged(digest, reason);
        ImagePart::Broken(digest.clone())
    }

    /// Writes the data, the entry in the index of referrers, and last the link.
    async fn write(&self, digest: &Digest, bytes: Bytes, subject: Option<Digest>) -> Result<()> {
        self.copier.ensure_bytes(digest, &bytes).await?;
        let mut files: Vec<(DriverPath, Bytes)> = Vec::new();
        let has_to_link = self.has_to_link(digest);
        // The source may have no index; that of the target may be complete, and then no listing reads the manifest.
        if let Some(subject) = subject {
            let entry = Entry::Referrer(self.name.clone(), subject, digest.clone()).path();
            if has_to_link || !self.copier.target.exists(&entry).await.at_target()? {
                files.push((entry, digest.to_string().into()));
            }
        }
        if has_to_link {
            files.push(link::file(&Entry::RevisionLink(self.name.clone(), digest.clone()), digest));
            if self.copier.manner.counts_as_push() && self.copier.caches.contains(&self.name) {
                files.push(link::file(&Entry::Pushed(self.name.clone(), digest.clone()), digest));
            }
        }
        self.copier.put_all(&files, |copied| copied.revisions += u64::from(has_to_link)).await
    }

    /// Whether a link to the manifest has to be written. Where links are trusted, one that is there is not looked at again.
    fn has_to_link(&self, digest: &Digest) -> bool {
        self.copier.manner.trusts_links() || !self.is_linked(digest)
    }

    /// Records the outcome for a manifest.
    fn record_outcome(&self, digest: &Digest, part: ImagePart) {
        match &part {
            ImagePart::There => {}
            ImagePart::Missing => {
                let path = Entry::RevisionLink(self.name.clone(), digest.clone()).path();
                if self.is_known_in_source(digest) && !self.copier.is_lost(digest) {
                    self.copier.find(|pass| pass.dangling.push(path));
                }
            }
            ImagePart::Broken(because) => {
                let (repository, manifest) = (self.name.clone(), digest.clone());
                let broken = Broken { repository, manifest, tag: None, because: because.clone() };
                self.copier.find(|pass| pass.broken.push(broken));
            }
        }
        self.remember(digest, part);
    }

    /// Copies the data of a blob and its layer link.
    pub(super) async fn layer(&self, digest: &Digest) -> Result<ImagePart> {
        let is_linked = self.has_layer(digest);
        if is_linked && self.copier.manner.trusts_links() {
            return Ok(ImagePart::There);
        }
        let entry = Entry::LayerLink(self.name.clone(), digest.clone());
        let canonical = match digest.is_canonical() {
            true => Some(digest.clone()).filter(|_| self.is_layer_in_source(digest)),
            false => None,
        };
        let canonical = match canonical {
            Some(canonical) => Some(canonical),
            None => self.read_alias(&entry).await?,
        };
        let Some(canonical) = canonical else {
            // Only the backups have lost the link.
            let data = Entry::Blob(digest.clone()).path();
            let is_there =
                is_linked && digest.is_canonical() && self.copier.target.exists(&data).await.at_target()?;
            return Ok(if is_there { ImagePart::There } else { ImagePart::Missing });
        };
        match self.copier.ensure_data(&canonical).await? {
            Data::Missing => return Ok(ImagePart::Missing),
            Data::Damaged => return Ok(ImagePart::Broken(canonical)),
            Data::There if is_linked => return Ok(ImagePart::There),
            Data::There => {}
        }
        let mut files = Vec::new();
        if canonical != *digest && !self.has_layer(&canonical) {
            files.push(link::file(&Entry::LayerLink(self.name.clone(), canonical.clone()), &canonical));
        }
        files.push(link::file(&entry, &canonical));
        let links = files.len() as u64;
        self.copier.put_all(&files, |copied| copied.layer_links += links).await?;
        self.add_layer(&canonical);
        self.add_layer(digest);
        Ok(ImagePart::There)
    }
}

/// The digests that a manifest needs, and those that it may need.
pub(super) fn needs(bytes: &[u8]) -> impl Iterator<Item = Digest> {
    Needs::of(bytes).parts.into_iter().map(|need| need.digest)
}

impl Needs {
    fn of(bytes: &[u8]) -> Self {
        match Manifest::parse(bytes, None) {
            Ok(manifest) => {
                let (is_index, config, layers) = (manifest.kind.is_index(), manifest.config, manifest.layers);
                let need =
                    |descriptor: Descriptor, is_optional| Need { digest: descriptor.digest, is_optional };
                let blobs = config.into_iter().chain(layers).map(|descriptor| {
                    // Clients fetch it from elsewhere.
                    let is_foreign =
                        !descriptor.urls.is_empty() || is_nondistributable(&descriptor.media_type);
                    need(descriptor, is_index || is_foreign)
                });
                let children = manifest.manifests.into_iter().map(|child| need(child, true));
                let subject = manifest.subject.map(|subject| subject.digest);
                Self { parts: blobs.chain(children).collect(), is_index, subject }
            }
            // A manifest of an old kind: whatever looks like a digest.
            Err(_) if bytes.len() <= MAX_UNKNOWN_BYTES => {
                let mut parts = Vec::new();
                if let Ok(value) = serde_json::from_slice(bytes) {
                    collect(&value, &mut parts);
                }
                let parts = parts.into_iter().map(|digest| Need { digest, is_optional: true }).collect();
                Self { parts, is_index: true, subject: None }
            }
            Err(_) => Self::default(),
        }
    }
}

fn collect(value: &serde_json::Value, digests: &mut Vec<Digest>) {
    match value {
        serde_json::Value::String(text) if text.starts_with("sha") => digests.extend(text.parse::<Digest>()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, digests)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| collect(field, digests)),
        _ => {}
    }
}
