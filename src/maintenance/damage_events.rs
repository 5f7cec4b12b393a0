//! `DamageEvents`: tells the endpoints of notifications what a verification has found damaged.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use sampan_engine::oci::{Digest, RepositoryName};
use sampan_engine::verify::{EndReason, Problem, ProblemKind, Report};
use sampan_engine::{Event, EventKind, EventSink};

/// Emits an event for each damaged digest and repository, once for as long as the damage is known to stay.
#[derive(Debug)]
pub(super) struct DamageEvents {
    sink: Option<Arc<dyn EventSink>>,
    /// A plain mutex: held to read or update, never across an await.
    sent: Mutex<HashSet<(Digest, RepositoryName)>>,
}

/// The most events of one report. The log has the rest.
const MAX_EVENTS: usize = 1000;

/// The most events to remember, about 4 MiB with the longest names. While there are so many, no more are emitted.
const MAX_SENT: usize = 10_000;

impl DamageEvents {
    pub(super) fn new(sink: Option<Arc<dyn EventSink>>) -> Self {
        Self { sink, sent: Mutex::default() }
    }

    /// Emits the damage of a report. Content that is whole again makes no event.
    pub(super) fn emit(&self, report: &Report) {
        let Some(sink) = &self.sink else { return };
        let damaged: Vec<(Digest, RepositoryName)> =
            report.problems.iter().filter(|problem| is_damage(problem)).flat_map(affected).collect();
        let new = {
            let mut sent = self.sent.lock();
            // Such a report has everything that is missing or has another length.
            if report.structure.is_some() && report.ending == EndReason::Finished && report.more_problems == 0
            {
                let stays: HashSet<_> = damaged.iter().collect();
                sent.retain(|known| stays.contains(known));
            }
            let room = MAX_EVENTS.min(MAX_SENT.saturating_sub(sent.len()));
            let mut new = Vec::new();
            for known in damaged {
                if new.len() < room && sent.insert(known.clone()) {
                    new.push(known);
                }
            }
            new
        };
        for (digest, repository) in new {
            sink.emit(Event { repository, what: EventKind::ContentDamaged(digest) });
        }
    }
}

fn is_damage(problem: &Problem) -> bool {
    let is_of_content = matches!(
        problem.kind,
        ProblemKind::Damaged { .. } | ProblemKind::Missing | ProblemKind::Unreadable { .. }
    );
    is_of_content && !problem.is_mended()
}

/// The content with each repository that has an image with it.
fn affected(problem: &Problem) -> impl Iterator<Item = (Digest, RepositoryName)> {
    let mut repositories: Vec<&str> = problem.needed_by.iter().map(|need| need.repository.as_str()).collect();
    repositories.sort_unstable();
    repositories.dedup();
    let named = repositories.into_iter().filter_map(|name| name.parse().ok());
    named.filter_map(|name| Some((problem.digest.clone()?, name)))
}

#[cfg(test)]
mod tests {
    use sampan_engine::verify::{Need, RepairOutcome, StructureReport};

    use super::*;

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl EventSink for Kept {
        fn emit(&self, event: Event) {
            self.0.lock().push(event);
        }
    }

    fn problem(content: &[u8], repositories: &[&str]) -> Problem {
        let digest = Digest::sha256_of(content);
        let need = |name: &&str| Need {
            repository: (*name).to_owned(),
            manifest: digest.clone(),
            tags: vec!["v1".to_owned()],
        };
        Problem {
            path: "/x".to_owned(),
            kind: ProblemKind::Missing,
            needed_by: repositories.iter().map(need).collect(),
            digest: Some(digest),
            outcome: RepairOutcome::Reported,
        }
    }

    fn emitted(events: &DamageEvents, sink: &Kept, problems: &[Problem], structure: bool) -> Vec<String> {
        let structure = structure.then(StructureReport::default);
        events.emit(&Report { problems: problems.to_vec(), structure, ..Report::default() });
        let emitted = std::mem::take(&mut *sink.0.lock());
        emitted.iter().map(|event| event.repository.to_string()).collect()
    }

    #[test]
    fn damage_that_stays_is_emitted_once_for_each_repository() {
        let sink = Arc::new(Kept::default());
        let events = DamageEvents::new(Some(sink.clone()));
        let emit = |problems: &[Problem], structure| emitted(&events, &sink, problems, structure);
        let damaged = problem(b"layer", &["app", "app", "other"]);
        assert_eq!(emit(std::slice::from_ref(&damaged), false), ["app", "other"]);
        assert_eq!(emit(std::slice::from_ref(&damaged), true), [""; 0]);
        assert_eq!(emit(&[], false), [""; 0]);
        assert_eq!(emit(std::slice::from_ref(&damaged), true), [""; 0]);
        // It was healed, and is damaged again.
        assert_eq!(emit(&[], true), [""; 0]);
        assert_eq!(emit(&[damaged], true), ["app", "other"]);
    }

    #[test]
    fn whole_content_links_and_what_no_image_needs_make_no_event() {
        let sink = Arc::new(Kept::default());
        let events = DamageEvents::new(Some(sink.clone()));
        let healed =
            Problem { outcome: RepairOutcome::Healed("memory".to_owned()), ..problem(b"1", &["app"]) };
        let link = Problem { kind: ProblemKind::LinkMissing, ..problem(b"2", &["app"]) };
        assert_eq!(emitted(&events, &sink, &[healed, link, problem(b"3", &[])], true), [""; 0]);
    }

    #[test]
    fn a_report_makes_a_bounded_number_of_events() {
        let sink = Arc::new(Kept::default());
        let events = DamageEvents::new(Some(sink.clone()));
        let problems: Vec<Problem> =
            (0..12_000_u32).map(|number| problem(&number.to_le_bytes(), &["app"])).collect();
        let counts: Vec<usize> = (0..12).map(|_| emitted(&events, &sink, &problems, false).len()).collect();
        assert_eq!(counts, [[1000; 10].as_slice(), &[0; 2]].concat());
    }
}
