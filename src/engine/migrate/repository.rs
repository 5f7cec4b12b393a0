//! `RepositoryCopy`: copies one repository: layers, manifests, tags.
//!
//! References are read before what they lead to, and written after it. A push at the source meanwhile comes
//! with the next pass; the target is a valid store at each moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use sampan_driver::StorageDriverExt;

use super::copier::Copier;
use super::digest_set::DigestSet;
use super::error::NameStore;
use super::recorder::{Recorded, gone};
use super::repositories::{Files, RepositoryPair, TagInBoth};
use super::tags::Target;
use super::{CONCURRENCY, Result, origin_marks};
use crate::layout::Entry;
use crate::link;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::tag_dates::{TagDate, TagDates};

/// The copy of one repository.
pub(super) struct RepositoryCopy {
    pub(super) copier: Arc<Copier>,
    pub(super) name: RepositoryName,
    /// A plain mutex: held only for a lookup.
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    /// The layers that the target links.
    layers: DigestSet,
    /// The manifests that the target linked before the pass.
    revisions: DigestSet,
    /// The layers and manifests that only the source links, as far as the walk has seen.
    wanted_layers: DigestSet,
    wanted_revisions: DigestSet,
    /// The manifests that were looked at in this pass.
    pub(super) settled: HashMap<Digest, ImagePart>,
}

/// Where a part of an image is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ImagePart {
    /// In the target.
    There,
    /// In neither store.
    Missing,
    /// It needs content that is damaged at the source.
    Broken(Digest),
}

/// A link of another algorithm, or a tag, is no longer.
const MAX_LINK_BYTES: usize = 1024;

/// Copies a repository.
pub(super) async fn copy(copier: Arc<Copier>, repository: RepositoryPair) -> Result<()> {
    let is_in_source = repository.is_in_source();
    let RepositoryPair {
        name,
        mut missing,
        extra,
        layers_there,
        revisions_there,
        revisions_here,
        tags,
        digests,
        history,
        newest,
        ..
    } = repository;
    let recorder = copier.manner.recorder().cloned();
    let copies_all = copier.manner.copies_all();
    let pushed_here = match copier.is_merge {
        true => origin_marks::merge(&mut missing, &extra, &revisions_here, &revisions_there),
        false => Vec::new(),
    };
    let is_done = tags.iter().all(TagInBoth::is_gone)
        && missing.is_empty()
        && history.is_empty()
        && pushed_here.is_empty();
    if is_done && !(is_in_source && (recorder.is_some() || !copier.manner.trusts_links())) {
        if let Some(recorder) = recorder {
            recorder.record(Recorded::gone(name, &tags));
        }
        return Ok(());
    }
    let revisions = match copier.manner.trusts_links() {
        true => missing.revisions,
        false => revisions_here.iter().collect(),
    };
    let set = |digests: &[Digest]| {
        let mut set = DigestSet::default();
        digests.iter().for_each(|digest| _ = set.insert(digest));
        set
    };
    // Manifests of the target's own may be missing in its index, which the source knows nothing of.
    let has_own = revisions_there.iter().any(|digest| !revisions_here.contains(&digest));
    let state = State {
        layers: layers_there,
        revisions: revisions_there,
        wanted_layers: set(&missing.layers),
        wanted_revisions: set(&revisions),
        settled: HashMap::new(),
    };
    let copy = Arc::new(RepositoryCopy { copier, name, state: Mutex::new(state) });
    // The tags are read first: what they point at is then copied with the other manifests.
    let mut targets = copy.read_tags(&tags).await?;
    let mut layers = missing.layers;
    if copies_all {
        copy.copy_layers(std::mem::take(&mut layers)).await?;
    }
    copy.copy_referrers(missing.referrers).await?;
    copy.mark_pushed(&pushed_here).await?;
    copy.copy_revisions(revisions).await?;
    copy.copy_needed_layers(layers, &revisions_here).await?;
    let has_new_history = !missing.history.is_empty();
    let (there, pushed) = copy.copy_tags(&targets, &revisions_here, missing.history, &digests).await?;
    targets.retain(|target| !pushed.contains(&target.tag));
    let history: Vec<_> = history.into_iter().filter(|(tag, ..)| !pushed.contains(tag)).collect();
    if missing.has_index && !has_own {
        let marker = Entry::ReferrersComplete(copy.name.clone());
        copy.copy_file(marker).await?;
    }
    let is_unchanged = !has_new_history && targets.iter().all(|target| !target.has_moved);
    let dates = copy.dates(&tags, &targets, &history).await?;
    copy.write_dates(&dates, newest.filter(|_| is_unchanged)).await?;
    if let Some(recorder) = recorder {
        let manifests = copy.whole(&revisions_here);
        let tags_there = copy.record_tags(dates, &there, &digests, &manifests).await?;
        recorder.record(Recorded { name: copy.name.clone(), manifests, tags: tags_there, gone: gone(&tags) });
    }
    Ok(())
}

impl Files {
    fn is_empty(&self) -> bool {
        self.layers.is_empty()
            && self.revisions.is_empty()
            && self.history.is_empty()
            && self.referrers.is_empty()
            && !self.has_index
    }
}

impl RepositoryCopy {
    async fn copy_layers(self: &Arc<Self>, layers: Vec<Digest>) -> Result<()> {
        let copy = |digest: Digest| {
            let copy = self.clone();
            async move {
                let part = copy.layer(&digest).await?;
                if part == ImagePart::Missing {
                    let path = Entry::LayerLink(copy.name.clone(), digest).path();
                    copy.copier.find(|pass| pass.dangling.push(path));
                }
                Ok(())
            }
        };
        // The link of another algorithm leads to the canonical one.
        let (canonical, aliases): (Vec<_>, Vec<_>) = layers.into_iter().partition(Digest::is_canonical);
        for layers in [canonical, aliases] {
            let mut copies = stream::iter(layers).map(copy).buffer_unordered(CONCURRENCY);
            while copies.try_next().await?.is_some() {}
        }
        Ok(())
    }

    async fn copy_revisions(self: &Arc<Self>, revisions: Vec<Digest>) -> Result<()> {
        let copy = |digest: Digest| {
            let copy = self.clone();
            async move {
                let children = copy.try_revision(&digest).await?;
                Ok(children.map(|_| digest))
            }
        };
        let mut parents = Vec::new();
        let mut copies = stream::iter(revisions).map(copy).buffer_unordered(CONCURRENCY);
        while let Some(waiting) = copies.try_next().await? {
            parents.extend(waiting);
        }
        for parent in parents {
            self.revision(&parent).await?;
        }
        Ok(())
    }

    /// Entries of the index of referrers are hints, so they may come before the manifests.
    async fn copy_referrers(self: &Arc<Self>, entries: Vec<Entry>) -> Result<()> {
        let copy = |entry: Entry| {
            let copy = self.clone();
            async move { copy.copy_file(entry).await }
        };
        let mut copies = stream::iter(entries).map(copy).buffer_unordered(CONCURRENCY);
        while copies.try_next().await?.is_some() {}
        Ok(())
    }

    /// Marks manifests of the target as pushed.
    async fn mark_pushed(&self, digests: &[Digest]) -> Result<()> {
        for digest in digests {
            let (path, content) = link::file(&Entry::Pushed(self.name.clone(), digest.clone()), digest);
            self.copier.create(&path, &content).await?;
        }
        Ok(())
    }

    /// Copies a small file unless the target has the same content.
    pub(super) async fn copy_file(&self, entry: Entry) -> Result<()> {
        super::others::copy(&self.copier, &entry.path()).await
    }

    /// The times of the source.
    async fn dates(
        &self,
        tags: &[TagInBoth],
        targets: &[Target],
        history: &[(Tag, Digest, SystemTime)],
    ) -> Result<Vec<TagDate>> {
        let here = TagDates::read(&self.copier.source, &self.name).await.at_source()?;
        let current: HashMap<&Tag, &Digest> =
            targets.iter().map(|target| (&target.tag, &target.digest)).collect();
        let mut dates = Vec::with_capacity(history.len());
        for tag in tags {
            let (Some(digest), Some(modified)) = (current.get(&tag.tag), tag.source) else { continue };
            let pushed = here.as_ref().map_or(modified, |dates| dates.pushed(&tag.tag, modified));
            dates.push(TagDate { tag: tag.tag.clone(), digest: (*digest).clone(), pushed, is_current: true });
        }
        for (tag, digest, modified) in history {
            let pushed = here.as_ref().map_or(*modified, |dates| dates.pointed(tag, digest, *modified));
            dates.push(TagDate { tag: tag.clone(), digest: digest.clone(), pushed, is_current: false });
        }
        Ok(dates)
    }

    /// Writes the times of the source, after all links: see [`TagDates`]. The youngest link of the target is dated
    /// `unchanged_since` unless this pass has written one.
    async fn write_dates(&self, dates: &[TagDate], unchanged_since: Option<SystemTime>) -> Result<()> {
        let there = TagDates::read(&self.copier.target, &self.name).await.at_target()?;
        let content = TagDates::to_bytes(dates);
        let is_current = |since| there.as_ref().is_some_and(|there| there.is_current(&content, since));
        if dates.is_empty() || unchanged_since.is_some_and(is_current) {
            return Ok(());
        }
        let file = (Entry::TagDates(self.name.clone()).path(), content);
        self.copier.put_all(&[file], |copied| copied.others += 1).await
    }

    /// The canonical digest in a link of the source; `None` if there is none, or it cannot be understood.
    pub(super) async fn read_alias(&self, entry: &Entry) -> Result<Option<Digest>> {
        let path = entry.path();
        let content = self.copier.source.get_content_if_any(&path).await.at_source()?;
        let Some(content) = content else { return Ok(None) };
        let digest = parse(&content).filter(Digest::is_canonical);
        if digest.is_none() {
            self.copier.find(|pass| pass.unreadable.push(path));
        }
        Ok(digest)
    }

    pub(super) fn settled(&self, digest: &Digest) -> Option<ImagePart> {
        let state = self.state.lock();
        let is_trusted = self.copier.manner.trusts_links();
        if is_trusted && state.revisions.contains(digest) && !state.wanted_revisions.contains(digest) {
            return Some(ImagePart::There);
        }
        state.settled.get(digest).cloned()
    }

    /// Whether the target linked the manifest before the pass.
    pub(super) fn is_linked(&self, digest: &Digest) -> bool {
        self.state.lock().revisions.contains(digest)
    }

    pub(super) fn remember(&self, digest: &Digest, part: ImagePart) {
        self.state.lock().settled.insert(digest.clone(), part);
    }

    pub(super) fn is_known_in_source(&self, digest: &Digest) -> bool {
        self.state.lock().wanted_revisions.contains(digest)
    }

    pub(super) fn is_layer_in_source(&self, digest: &Digest) -> bool {
        self.state.lock().wanted_layers.contains(digest)
    }

    pub(super) fn has_layer(&self, digest: &Digest) -> bool {
        let state = self.state.lock();
        state.layers.contains(digest) && !state.wanted_layers.contains(digest)
    }

    pub(super) fn add_layer(&self, digest: &Digest) {
        let mut state = self.state.lock();
        state.layers.insert(digest);
        state.wanted_layers.remove(digest);
    }
}

/// The digest in a link.
pub(super) fn parse(content: &[u8]) -> Option<Digest> {
    link::digest_in(content.get(..MAX_LINK_BYTES.min(content.len()))?)
}
