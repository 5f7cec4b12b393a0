//! `State`, `Request` and `Pending`: the behaviour of a repository that does one thing at a time.
//!
//! A request is a few atomic steps, taken at any time between its call and its answer. Most are one step. These are not:
//!
//! - a push by tag stores the manifest, and then sets the tag; it writes again what a concurrent deletion removes, unless a
//!   reference is gone as well: then it removes its tag;
//! - a deletion by digest removes the tags of the manifest one by one, and then the manifest with all remaining tags;
//! - a push of an index whose image is deleted before it answers may take its manifest away again, which was there for a
//!   moment, and is refused unless the image comes back;
//! - a deletion sees what it deletes, and then removes what is there at that time; it may remove a tag of its manifest that a
//!   pending push has moved meanwhile, and which that push then sets again;
//! - a listing reads each tag separately; it may or may not list a tag that a pending request changes.
//!
//! A failed request may have taken some of its steps or all; one without any answer may still take them at any time.
//! Either may also stop between the two halves of a step that is two writes, and leave a tag that points at no manifest.
//! Such a tag is unknown to every client until a push restores the manifest.

use super::history::{INDEX, MANIFESTS, Request, RequestOutcome, TAGS, TagSet};

/// The target of a missing tag.
const ABSENT: u8 = u8::MAX;

/// The content of the repository.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct State {
    /// A bit for each manifest.
    stored: u8,
    tags: [u8; TAGS],
}

/// A pending request and its progress.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Pending {
    /// Its number in the history.
    pub(super) call: u16,
    progress: u8,
}

/// Bits of `Pending::progress`. A listing has one for each tag instead.
mod progress {
    /// Everything that the answer reports has happened.
    pub(super) const DONE: u8 = 1;
    /// A deletion has seen what it deletes; a push has seen the references of its manifest.
    pub(super) const SEEN: u8 = 2;
    /// The manifest was stored.
    pub(super) const STORED: u8 = 4;
    /// A deletion removed the manifest after it was stored, or the tag after it was set.
    pub(super) const LOST: u8 = 8;
    /// A deletion has seen a tag of its manifest: the first of a bit for each tag.
    pub(super) const SEEN_TAG: u8 = 16;
}
use progress::{DONE, LOST, SEEN, SEEN_TAG, STORED};

impl State {
    pub(super) const EMPTY: Self = Self { stored: 0, tags: [ABSENT; TAGS] };

    fn has(self, manifest: u8) -> bool {
        self.stored & (1 << manifest) != 0
    }

    fn store(&mut self, manifest: u8) {
        self.stored |= 1 << manifest;
    }

    /// The target of the tag that a client sees.
    fn resolve(self, tag: u8) -> Option<u8> {
        Some(self.tags[usize::from(tag)]).filter(|manifest| *manifest != ABSENT && self.has(*manifest))
    }
}

impl Pending {
    pub(super) fn new(call: u16) -> Self {
        Self { call, progress: 0 }
    }

    /// Whether the registry may answer.
    pub(super) fn is_done(self, request: Request) -> bool {
        match request {
            Request::List => self.progress == (1 << TAGS) - 1,
            _ => self.progress & DONE != 0,
        }
    }
}

/// One more step of one request.
pub(super) struct Step {
    pub(super) state: State,
    pub(super) pending: Pending,
    /// What the step took away from requests that had written it.
    pub(super) removed: Removed,
}

/// The manifests and tags that a step removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    /// A bit for each manifest.
    manifests: u8,
    /// A bit for each tag.
    tags: u8,
    /// Of these, those that a pending push must set again before it answers.
    moved_tags: u8,
}

impl Removed {
    /// Tells a pending push that what it wrote is gone.
    pub(super) fn tell(self, pending: &mut Pending, request: Request) {
        let (manifest, tag) = match request {
            Request::Push { manifest, tag } => (manifest, tag),
            _ => return,
        };
        let lost =
            self.manifests & (1 << manifest) != 0 || tag.is_some_and(|tag| self.tags & (1 << tag) != 0);
        if lost && pending.progress & (STORED | DONE) != 0 {
            pending.progress |= LOST;
        }
        if tag.is_some_and(|tag| self.moved_tags & (1 << tag) != 0) {
            pending.progress &= !DONE;
        }
    }
}

/// Every step that `pending` may take now. `is_touched` returns whether a pending request may change a tag, `is_being_set`
/// whether a pending push may have set it.
pub(super) fn steps(
    state: State,
    pending: Pending,
    request: Request,
    outcome: Option<RequestOutcome>,
    is_touched: impl Fn(u8) -> bool,
    is_being_set: impl Fn(u8) -> bool,
) -> Vec<Step> {
    let mut steps = Steps { state, pending, found: Vec::new() };
    let answers = |expected: RequestOutcome| outcome.is_none_or(|outcome| outcome == expected);
    match request {
        Request::Push { manifest, tag } => steps.push(manifest, tag, outcome),
        // A deletion deletes once; tags that another deletion left vanish while their manifest is missing.
        Request::DeleteTag(tag) if pending.progress & DONE != 0 => {
            // The deletion of a tag takes several steps, and a pending push sets the tag again.
            if is_being_set(tag) {
                steps.untag(tag, 0);
            }
        }
        Request::Delete(manifest) if pending.progress & DONE != 0 => {
            if outcome.is_none() && !state.has(manifest) {
                steps.untag_any(manifest);
            }
        }
        Request::DeleteTag(tag) => {
            let is_there = state.tags[usize::from(tag)] != ABSENT;
            if answers(RequestOutcome::Unknown) && state.resolve(tag).is_none() {
                steps.progress(DONE);
            }
            if answers(RequestOutcome::Done) && is_there {
                steps.progress(SEEN);
            }
            if answers(RequestOutcome::Done) && pending.progress & SEEN != 0 {
                steps.untag(tag, DONE);
            }
        }
        Request::Delete(manifest) => {
            if answers(RequestOutcome::Unknown) && !state.has(manifest) {
                steps.progress(DONE);
            }
            if answers(RequestOutcome::Done) && state.has(manifest) {
                steps.progress(SEEN);
            }
            if answers(RequestOutcome::Done) && pending.progress & SEEN != 0 {
                for tag in 0..TAGS as u8 {
                    let seen = SEEN_TAG << tag;
                    if state.tags[usize::from(tag)] == manifest {
                        steps.progress(seen);
                    } else if pending.progress & seen != 0 && is_being_set(tag) {
                        steps.untag_moved(tag);
                    }
                }
                steps.untag_any(manifest);
                steps.delete(manifest, outcome.is_none());
            }
        }
        Request::ReadTag(tag) => {
            let seen = state.resolve(tag).map_or(RequestOutcome::Unknown, RequestOutcome::Found);
            if answers(seen) {
                steps.progress(DONE);
            }
        }
        Request::Read(manifest) => {
            let seen =
                if state.has(manifest) { RequestOutcome::Found(manifest) } else { RequestOutcome::Unknown };
            if answers(seen) {
                steps.progress(DONE);
            }
        }
        Request::List => {
            let Some(RequestOutcome::Listed(TagSet(listed))) = outcome else { return Vec::new() };
            for tag in 0..TAGS as u8 {
                let is_listed = listed & (1 << tag) != 0;
                if state.resolve(tag).is_some() == is_listed || is_touched(tag) {
                    steps.progress(1 << tag);
                }
            }
        }
    }
    steps.found
}

struct Steps {
    state: State,
    pending: Pending,
    found: Vec<Step>,
}

impl Steps {
    fn add(&mut self, state: State, progress: u8, removed: Removed) {
        let pending = Pending { progress, ..self.pending };
        if state != self.state || pending != self.pending {
            self.found.push(Step { state, pending, removed });
        }
    }

    fn progress(&mut self, bits: u8) {
        self.add(self.state, self.pending.progress | bits, Removed::default());
    }

    fn push(&mut self, manifest: u8, tag: Option<u8>, outcome: Option<RequestOutcome>) {
        let (state, progress) = (self.state, self.pending.progress);
        let needs = if manifest == INDEX { Some(0) } else { None };
        let lacks = needs.is_some_and(|child| !state.has(child));
        let is_refused = outcome == Some(RequestOutcome::Incomplete);
        if lacks && progress & STORED == 0 && (is_refused || outcome.is_none()) {
            self.progress(DONE);
        }
        if lacks && progress & STORED != 0 && progress & DONE == 0 {
            self.withdraw(manifest);
        }
        if !lacks {
            self.progress(SEEN);
        }
        if progress & SEEN == 0 || (is_refused && progress & DONE != 0) {
            return;
        }
        let again = progress & LOST != 0;
        let mut with = state;
        with.store(manifest);
        match tag {
            // It sets no tag.
            _ if is_refused => self.add(with, (progress | STORED) & !LOST, Removed::default()),
            None if progress & DONE == 0 || again => {
                self.add(with, (progress | STORED | DONE) & !LOST, Removed::default());
            }
            None => {}
            Some(tag) => {
                if again && !state.has(manifest) {
                    // The deletion came before the tag was set, which then leads nowhere until the push notices.
                    let mut tagged = state;
                    tagged.tags[usize::from(tag)] = manifest;
                    self.add(tagged, progress & !DONE, Removed::default());
                    if needs.is_some_and(|child| !state.has(child)) {
                        self.give_up(manifest, tag);
                    }
                }
                if progress & STORED == 0 || again {
                    // After a loss the push must set the tag again, too.
                    let kept = if again { progress & !DONE } else { progress };
                    self.add(with, kept | STORED, Removed::default());
                }
                if progress & DONE == 0 || again {
                    let mut tagged = with;
                    tagged.tags[usize::from(tag)] = manifest;
                    self.add(tagged, (progress | STORED | DONE) & !LOST, Removed::default());
                    if outcome.is_none() {
                        // A deletion removed the manifest before the tag was set, and the push failed before it noticed.
                        let mut tagged = state;
                        tagged.tags[usize::from(tag)] = manifest;
                        self.add(tagged, (progress | STORED | DONE) & !LOST, Removed::default());
                    }
                }
            }
        }
    }

    /// Takes the manifest of a push away, whose reference was deleted after it was seen.
    fn withdraw(&mut self, manifest: u8) {
        let mut without = self.state;
        without.stored &= !(1 << manifest);
        let removed = Removed { manifests: 1 << manifest, ..Removed::default() };
        self.add(without, self.pending.progress & !(SEEN | STORED | LOST), removed);
    }

    /// Ends a push whose manifest and a reference of that were deleted meanwhile: as if it had come before all deletions. It
    /// removes its tag.
    fn give_up(&mut self, manifest: u8, tag: u8) {
        let mut without = self.state;
        let tag = &mut without.tags[usize::from(tag)];
        if *tag == manifest {
            *tag = ABSENT;
        }
        self.add(without, (self.pending.progress | DONE) & !LOST, Removed::default());
    }

    /// Removes any one of the tags that point at the manifest.
    fn untag_any(&mut self, manifest: u8) {
        let tags = self.state.tags;
        for tag in (0..TAGS as u8).filter(|tag| tags[usize::from(*tag)] == manifest) {
            self.untag(tag, 0);
        }
    }

    fn untag(&mut self, tag: u8, bits: u8) {
        let mut without = self.state;
        without.tags[usize::from(tag)] = ABSENT;
        let removed = Removed { tags: 1 << tag, ..Removed::default() };
        self.add(without, self.pending.progress | bits, removed);
    }

    /// Removes a tag that has moved since the deletion saw it, and that a push sets again.
    fn untag_moved(&mut self, tag: u8) {
        let mut without = self.state;
        without.tags[usize::from(tag)] = ABSENT;
        let removed = Removed { tags: 1 << tag, moved_tags: 1 << tag, ..Removed::default() };
        self.add(without, self.pending.progress, removed);
    }

    fn delete(&mut self, manifest: u8, may_stop: bool) {
        let mut without = self.state;
        without.stored &= !(1 << manifest);
        let removed = Removed { manifests: 1 << manifest, ..Removed::default() };
        if may_stop {
            self.add(without, self.pending.progress | DONE, removed);
        }
        without.tags.iter_mut().filter(|target| **target == manifest).for_each(|target| *target = ABSENT);
        self.add(without, self.pending.progress | DONE, removed);
    }
}

const _: () = assert!(MANIFESTS <= 8 && TAGS <= 8, "sets are bytes");
