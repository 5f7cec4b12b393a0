//! Whether some order of steps explains a history: follows all possible worlds event by event
//! (after Wing and Gong, "Testing and Verifying Concurrent Objects", and Lowe, "Testing for Linearizability").
//!
//! A world is a state of the repository and the progress of each pending request. Before an answer, the check adds every
//! world that steps from existing worlds reach; then it keeps only those in which the answer is right. If none is left, no
//! order explains the history.

use std::collections::BTreeSet;

use super::history::{Event, History, Request};
use super::spec::{Pending, State, Step, steps};
use crate::Failed;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct World {
    state: State,
    /// In the order of their calls.
    pending: Vec<Pending>,
}

/// With this many possible worlds at once a history proves nothing: too many of its requests have no answer.
const MAX_WORLDS: usize = 100_000;

/// Checks that `history` is linearizable, starting from an empty repository.
pub(super) fn check(history: &History) -> Result<(), Failed> {
    let mut worlds = BTreeSet::from([World { state: State::EMPTY, pending: Vec::new() }]);
    let mut failed = Vec::new();
    for event in &history.events {
        worlds = match event {
            Event::Called(call) => worlds.into_iter().map(|world| world.with(*call)).collect(),
            Event::Answered(call) => {
                let all = close(history, worlds, &failed)?;
                let answered: BTreeSet<World> =
                    all.into_iter().filter_map(|world| world.without(history, *call)).collect();
                if answered.is_empty() {
                    return Err(Failed::new(format_args!(
                        "no order of the requests explains the answer to number {call}:{history}"
                    )));
                }
                answered
            }
            Event::Failed(call) => {
                let all = close(history, worlds, &failed)?;
                failed.push(history.calls[usize::from(*call)].request);
                all.into_iter().filter_map(|world| world.leave(*call)).map(|(world, _)| world).collect()
            }
        };
    }
    Ok(())
}

/// Adds every world that steps of pending requests reach, after some have `failed`.
fn close(history: &History, worlds: BTreeSet<World>, failed: &[Request]) -> Result<BTreeSet<World>, Failed> {
    let mut todo: Vec<World> = worlds.iter().cloned().collect();
    let mut all = worlds;
    while let Some(world) = todo.pop() {
        for next in world.next(history, failed) {
            if all.insert(next.clone()) {
                todo.push(next);
            }
        }
        if all.len() > MAX_WORLDS {
            return Err(Failed::new(format_args!(
                "the history has too many requests without an answer:{history}"
            )));
        }
    }
    Ok(all)
}

impl World {
    fn with(mut self, call: u16) -> Self {
        self.pending.push(Pending::new(call));
        self
    }

    /// The world in which the request was answered; `None` when it has not progressed that far.
    fn without(self, history: &History, call: u16) -> Option<Self> {
        let (world, pending) = self.leave(call)?;
        pending.is_done(history.calls[usize::from(call)].request).then_some(world)
    }

    /// The world without the request, and the progress of the request.
    fn leave(mut self, call: u16) -> Option<(Self, Pending)> {
        let place = self.pending.iter().position(|pending| pending.call == call)?;
        let pending = self.pending.remove(place);
        Some((self, pending))
    }

    fn next(&self, history: &History, failed: &[Request]) -> Vec<Self> {
        let request = |pending: &Pending| history.calls[usize::from(pending.call)].request;
        // A failed request may have left half a tag, which listings show.
        let is_touched = |tag| {
            let mut requests = self.pending.iter().map(request).chain(failed.iter().copied());
            requests.any(|request| request.may_change(tag))
        };
        let is_being_set = |tag| {
            let sets = |request| matches!(request, Request::Push { tag: set, .. } if set == Some(tag));
            self.pending.iter().any(|pending| sets(request(pending)))
        };
        let mut next = Vec::new();
        for (place, pending) in self.pending.iter().enumerate() {
            let call = history.calls[usize::from(pending.call)];
            for Step { state, pending, removed } in
                steps(self.state, *pending, call.request, call.outcome, is_touched, is_being_set)
            {
                let mut world = Self { state, pending: self.pending.clone() };
                for other in &mut world.pending {
                    removed.tell(other, request(other));
                }
                world.pending[place] = pending;
                next.push(world);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::{INDEX, RequestOutcome, TagSet};
    use super::*;

    /// Calls and answers in this order: the number of a request, and whether the event is its answer.
    fn is_explained(order: &[(u16, bool)], calls: &[(Request, Option<RequestOutcome>)]) -> bool {
        let mut history = History::default();
        for (number, (request, _)) in calls.iter().enumerate() {
            history.call(number, *request);
        }
        history.events.clear();
        for (number, is_answer) in order {
            match (is_answer, calls[usize::from(*number)].1) {
                (false, _) => history.events.push(Event::Called(*number)),
                (true, Some(outcome)) => history.answer(*number, outcome),
                (true, None) => {}
            }
        }
        check(&history).is_ok()
    }

    /// One after the other.
    fn in_turn(calls: &[(Request, RequestOutcome)]) -> bool {
        let mut history = History::default();
        for (request, outcome) in calls {
            let call = history.call(0, *request);
            history.answer(call, *outcome);
        }
        check(&history).is_ok()
    }

    const PUSH_A: Request = Request::Push { manifest: 0, tag: Some(0) };
    const PUSH_B: Request = Request::Push { manifest: 1, tag: Some(0) };
    const PUSH_INDEX: Request = Request::Push { manifest: 2, tag: None };

    #[test]
    fn one_after_the_other_there_is_one_answer() {
        assert!(in_turn(&[
            (Request::ReadTag(0), RequestOutcome::Unknown),
            (PUSH_INDEX, RequestOutcome::Incomplete),
            (PUSH_A, RequestOutcome::Done),
            (PUSH_INDEX, RequestOutcome::Done),
            (Request::ReadTag(0), RequestOutcome::Found(0)),
            (PUSH_B, RequestOutcome::Done),
            (Request::ReadTag(0), RequestOutcome::Found(1)),
            (Request::List, RequestOutcome::Listed(TagSet(1))),
            (Request::Delete(1), RequestOutcome::Done),
            (Request::ReadTag(0), RequestOutcome::Unknown),
            (Request::List, RequestOutcome::Listed(TagSet(0))),
            (Request::DeleteTag(0), RequestOutcome::Unknown),
            (Request::Read(0), RequestOutcome::Found(0)),
            (Request::Delete(0), RequestOutcome::Done),
            (Request::Read(2), RequestOutcome::Found(2)),
        ]));
        for wrong in [
            [(PUSH_A, RequestOutcome::Done), (Request::ReadTag(0), RequestOutcome::Unknown)],
            [(PUSH_A, RequestOutcome::Done), (Request::Read(0), RequestOutcome::Unknown)],
            [(PUSH_A, RequestOutcome::Done), (Request::List, RequestOutcome::Listed(TagSet(0)))],
            [(PUSH_A, RequestOutcome::Done), (Request::DeleteTag(0), RequestOutcome::Unknown)],
            [(PUSH_A, RequestOutcome::Done), (PUSH_INDEX, RequestOutcome::Incomplete)],
            [(PUSH_B, RequestOutcome::Done), (PUSH_INDEX, RequestOutcome::Done)],
        ] {
            assert!(!in_turn(&wrong), "{wrong:?}");
        }
    }

    /// A push by tag beside the deletion of its manifest; both are answered, then everything is read.
    #[test]
    fn a_tag_without_its_manifest_is_found_out() {
        let order =
            [(0, false), (1, false), (0, true), (1, true), (2, false), (2, true), (3, false), (3, true)];
        let reads = |by_tag, by_digest| {
            let calls = [
                (Request::Push { manifest: 0, tag: Some(1) }, Some(RequestOutcome::Done)),
                (Request::Delete(0), Some(RequestOutcome::Done)),
                (Request::ReadTag(1), Some(by_tag)),
                (Request::Read(0), Some(by_digest)),
            ];
            is_explained(&order, &calls)
        };
        assert!(reads(RequestOutcome::Unknown, RequestOutcome::Unknown));
        assert!(!reads(RequestOutcome::Found(0), RequestOutcome::Unknown));
        assert!(!reads(RequestOutcome::Unknown, RequestOutcome::Found(0)));
        // The deletion came between the two writes of the push, which then wrote the manifest again.
        assert!(reads(RequestOutcome::Found(0), RequestOutcome::Found(0)));
    }

    /// A tag moves away while the manifest that it pointed at is deleted.
    #[test]
    fn a_moved_tag_that_is_lost_is_found_out() {
        let order =
            [(0, false), (0, true), (1, false), (2, false), (1, true), (2, true), (3, false), (3, true)];
        let read = |by_tag| {
            let calls = [
                (PUSH_A, Some(RequestOutcome::Done)),
                (PUSH_B, Some(RequestOutcome::Done)),
                (Request::Delete(0), Some(RequestOutcome::Done)),
                (Request::ReadTag(0), Some(by_tag)),
            ];
            is_explained(&order, &calls)
        };
        assert!(read(RequestOutcome::Found(1)));
        assert!(!read(RequestOutcome::Unknown));
    }

    /// An image is deleted while an index is pushed that names it: the index may be there for a moment.
    #[test]
    fn a_refused_push_is_there_for_a_moment_only() {
        let order =
            [(0, false), (0, true), (1, false), (2, false), (3, false), (3, true), (2, true), (1, true)];
        let then = |last: RequestOutcome| {
            let calls = [
                (PUSH_A, Some(RequestOutcome::Done)),
                (PUSH_INDEX, Some(RequestOutcome::Incomplete)),
                (Request::Delete(0), Some(RequestOutcome::Done)),
                (Request::Read(INDEX), Some(RequestOutcome::Found(INDEX))),
                (Request::Read(INDEX), Some(last)),
            ];
            is_explained(&[&order[..], &[(4, false), (4, true)]].concat(), &calls)
        };
        assert!(then(RequestOutcome::Unknown));
        assert!(!then(RequestOutcome::Found(INDEX)));
        // Without the deletion there is no reason to refuse it.
        let calls = [
            (PUSH_A, Some(RequestOutcome::Done)),
            (PUSH_INDEX, Some(RequestOutcome::Incomplete)),
            (Request::Read(INDEX), Some(RequestOutcome::Found(INDEX))),
        ];
        assert!(!is_explained(
            &[(0, false), (0, true), (1, false), (2, false), (2, true), (1, true)],
            &calls
        ));
    }

    #[test]
    fn what_was_never_answered_may_have_happened_or_not() {
        let order = [(0, false), (1, false), (1, true), (2, false), (2, true)];
        let reads = |first, second| {
            let calls =
                [(PUSH_A, None), (Request::ReadTag(0), Some(first)), (Request::ReadTag(0), Some(second))];
            is_explained(&order, &calls)
        };
        assert!(reads(RequestOutcome::Unknown, RequestOutcome::Unknown));
        assert!(reads(RequestOutcome::Unknown, RequestOutcome::Found(0)));
        assert!(reads(RequestOutcome::Found(0), RequestOutcome::Found(0)));
        assert!(!reads(RequestOutcome::Found(0), RequestOutcome::Unknown));
    }

    /// A tag that leads nowhere can be deleted, while the push that has set it has not noticed.
    #[test]
    fn a_push_whose_manifest_and_reference_are_deleted_came_before_both() {
        let calls = |second_deletion| {
            [
                (PUSH_A, Some(RequestOutcome::Done)),
                (PUSH_INDEX, Some(RequestOutcome::Done)),
                (Request::Push { manifest: 2, tag: Some(1) }, Some(RequestOutcome::Done)),
                (Request::Delete(2), Some(RequestOutcome::Done)),
                (second_deletion, Some(RequestOutcome::Done)),
                (Request::DeleteTag(1), Some(RequestOutcome::Done)),
                (Request::Delete(2), Some(RequestOutcome::Unknown)),
            ]
        };
        let order = [
            (0, false),
            (0, true),
            (1, false),
            (1, true),
            (2, false),
            (3, false),
            (3, true),
            (4, false),
            (4, true),
            (5, false),
            (5, true),
            (2, true),
            (6, false),
            (6, true),
        ];
        assert!(is_explained(&order, &calls(Request::Delete(0))));
        assert!(
            !is_explained(&order, &calls(Request::DeleteTag(0))),
            "the push has to store the manifest again"
        );
    }
}
