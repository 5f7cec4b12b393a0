//! `verify`: one run from beginning to end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sampan_driver::{DriverPath, with_causes};

use super::data::{hash_all, is_too_much};
use super::findings::{Findings, Users};
use super::heal::{HealSource, heal, write_link};
use super::move_aside::move_aside;
use super::options::{Options, Start};
use super::pace::Pace;
use super::problem::{Problem, ProblemKind, RepairOutcome};
use super::progress::{Cycle, Progress};
use super::report::{DataReport, EndReason, Report, StructureReport};
use super::sizes::{Hash, Sizes};
use super::structure::{StructureFindings, StructurePass};
use super::verdicts::Verdicts;
use super::{Error, Result};
use crate::clock::millis;
use crate::turn::{PeriodicTask, TurnState};
use crate::{Registry, Selection};

/// How often the structure is read again after manifests were healed.
const MAX_ROUNDS: usize = 2;

/// Verifies a store. See the module.
///
/// The caller may drop the future at any time; [`Options::stop`] is the politer way.
///
/// # Errors
///
/// `ReadOnly` if a repair is wanted. An error of the store is [`Report::error`], with all that was found before it; a file that cannot
/// be read is a problem, and one that cannot be repaired is left as it is.
pub async fn verify(registry: &Registry, options: &Options) -> Result<Report> {
    if options.repair {
        registry.check_writable()?;
    }
    let pace = Arc::new(Pace::new(options));
    let mut run = Run {
        registry,
        options,
        pace: &pace,
        sizes: Sizes::default(),
        findings: Findings::default(),
        users: Users::default(),
        is_complete: true,
        verdicts: Verdicts::default(),
        structure: None,
        data: None,
        structure_ms: None,
        cycle: Cycle::default(),
        begins_with: 0,
        without_users: None,
        unseen: None,
        healed: 0,
    };
    let failure = run.check_wanted().await.err();
    let (structure, data) = (run.structure.take(), run.data.take());
    let all = run.sizes.len();
    // A part of a cycle is small, so the whole of it counts as well: a defective disk must not be emptied part by part.
    let looked_at = data.map_or(all, |data| data.blobs + run.begins_with);
    let is_ill =
        is_too_much(run.findings.damaged(), looked_at) || is_too_much(run.cycle.damaged, run.cycle.blobs);
    let ending = match is_ill {
        _ if failure.is_some() => EndReason::Failed,
        true => EndReason::TooMuch,
        false if run.is_complete => EndReason::Finished,
        false => EndReason::Stopped,
    };
    if failure.is_none() {
        run.find_users().await;
    }
    if options.repair && failure.is_none() {
        run.repair(ending).await;
        // What a manifest needs can be seen when it is healed; an index and its children make two rounds.
        for _ in 0..MAX_ROUNDS {
            if options.structure && run.healed_manifests() && run.recheck_structure().await {
                run.repair(ending).await;
            }
        }
    }
    let structure_ms = run.structure_ms;
    let (problems, more_problems) = run.findings.into_parts();
    let error = failure.map(|error| with_causes(&error));
    Ok(Report { structure, data, ending, error, problems, more_problems, structure_ms })
}

/// Writes down what a run has healed, and that its caller has shown `report`: the next run passes over what is in it, but for
/// damaged data that were to be moved aside and could not be. Without this call it finds all of it again, and the structure does
/// not count as read.
///
/// # Errors
///
/// Any error of the store.
pub async fn acknowledge(registry: &Registry, options: &Options, report: &Report) -> Result<()> {
    let Ok(_write) = registry.begin_write() else { return Ok(()) };
    let keeps = options.selection.is_everything();
    if !keeps || (report.data.is_none() && report.structure_ms.is_none()) {
        return Ok(());
    }
    let mut progress = Progress::read(registry).await?;
    let before = progress.clone();
    progress.structure_ms = report.structure_ms.or(progress.structure_ms);
    if report.data.is_some() {
        note_data(&mut progress, options, report);
    }
    if progress != before { progress.write(registry).await } else { Ok(()) }
}

/// Notes what a run has done about damaged data.
fn note_data(progress: &mut Progress, options: &Options, report: &Report) {
    progress.add_healed(report.repaired());
    let is_to_move = |problem: &Problem| {
        let is_left = matches!(problem.outcome, RepairOutcome::Reported | RepairOutcome::Left(_));
        options.repair && is_left && matches!(problem.kind, ProblemKind::Damaged { .. })
    };
    let again: HashSet<_> =
        report.problems.iter().filter(|it| is_to_move(it)).filter_map(|it| it.digest.clone()).collect();
    let is_ill = report.ending == EndReason::TooMuch;
    progress.unreported.retain(|digest| !is_ill && again.contains(digest));
}

/// Whose turn a part of a verification is.
#[derive(Debug)]
pub enum VerificationTurn {
    /// This registry's; this is what it has found.
    Done(Report),
    /// That of another registry, or none; the next part is due after this time.
    NotDue(Duration),
}

/// Verifies a part of a store, unless a registry over it did so within the last `interval`.
///
/// # Errors
///
/// As [`verify`], and those of the record of turns. The registry is read-only. After an error, or a report with one, the part is still
/// due.
pub async fn verify_in_turn(
    registry: &Registry,
    options: &Options,
    interval: Duration,
) -> Result<VerificationTurn> {
    registry.check_writable()?;
    let turn = match registry.take_turn(PeriodicTask::Verification, interval).await? {
        TurnState::NotDue(wait) => return Ok(VerificationTurn::NotDue(wait)),
        TurnState::Taken(turn) => turn,
    };
    let done = match verify(registry, options).await {
        Ok(report) if report.ending == EndReason::Failed => Err(Ok(report)),
        Ok(report) => Ok(report),
        // It became read-only since the turn was taken, which stops a run that has begun, too.
        Err(Error::Registry(crate::Error::ReadOnly)) => {
            Ok(Report { ending: EndReason::Stopped, ..Report::default() })
        }
        Err(error) => Err(Err(error)),
    };
    match registry.end_turn(turn, done).await {
        Ok(report) | Err(Ok(report)) => Ok(VerificationTurn::Done(report)),
        Err(Err(error)) => Err(error),
    }
}

struct Run<'a> {
    registry: &'a Registry,
    options: &'a Options,
    pace: &'a Arc<Pace>,
    sizes: Sizes,
    findings: Findings,
    users: Users,
    verdicts: Verdicts,
    structure: Option<StructureReport>,
    data: Option<DataReport>,
    /// When the structure of the whole store was read.
    structure_ms: Option<u64>,
    /// Why the users are not known, if they are not.
    without_users: Option<String>,
    /// The first place in which the users could not be looked for.
    unseen: Option<DriverPath>,
    /// The cycle of which this run is a part, as far as it has come.
    cycle: Cycle,
    /// How many blobs a run hashed that was killed, and whose findings are among those of this run.
    begins_with: u64,
    /// How many manifests were healed.
    healed: usize,
    /// Whether everything so far came to its end.
    is_complete: bool,
}

impl Run<'_> {
    /// Checks everything that the options name. Findings before an error stay.
    async fn check_wanted(&mut self) -> Result<()> {
        let (registry, options) = (self.registry, self.options);
        let mut progress = Progress::read(registry).await?;
        progress.give_up_future_cycle(registry.clock().now());
        // The structure needs all lengths, a part of a cycle those of its part alone.
        let (after, up_to) = match (options.structure || !options.selection.is_everything(), options.data) {
            (false, Some(Start::Continue)) => (progress.after.as_ref(), options.up_to),
            (false, Some(Start::Beginning)) => (None, options.up_to),
            _ => (None, u64::MAX),
        };
        self.sizes = Sizes::walk(registry, self.pace, after, up_to, &mut self.findings).await?;
        self.is_complete = !self.pace.is_stopped();
        if options.structure && self.is_complete {
            self.read_structure().await?;
        }
        match options.data {
            Some(start) if self.is_complete => self.hash_data(start, progress).await,
            _ => Ok(()),
        }
    }

    async fn read_structure(&mut self) -> Result<()> {
        let mut linked = HashSet::new();
        let of_some = (!self.options.selection.is_everything()).then_some(&mut linked);
        let found = self.pass(self.options, &HashSet::new(), of_some).await;
        self.is_complete = found.is_complete;
        self.findings.merge(found.findings);
        self.structure = Some(found.report);
        if let Some(failure) = found.failure {
            return Err(failure);
        }
        if !self.options.selection.is_everything() {
            self.sizes.retain(|hash| linked.contains(hash));
        } else if found.is_complete {
            self.structure_ms = Some(millis(self.registry.clock().now()));
        }
        Ok(())
    }

    async fn hash_data(&mut self, start: Start, progress: Progress) -> Result<()> {
        // A part of the repositories is no part of a cycle.
        let keeps = self.options.selection.is_everything() && self.registry.check_writable().is_ok();
        let now = self.registry.clock().now();
        let mut own = if keeps { progress } else { Progress::default() };
        own.begin(now, start == Start::Beginning);
        self.begins_with = if own.unreported.is_empty() { 0 } else { own.cycle.blobs };
        let report = self.data.insert(DataReport::default());
        let (sizes, findings) = (&self.sizes, &mut self.findings);
        let hashed =
            hash_all(self.registry, self.options, self.pace, sizes, &mut own, findings, report).await;
        self.is_complete = matches!(hashed, Ok(true));
        self.cycle = own.cycle;
        if keeps {
            if self.is_complete && self.options.up_to == u64::MAX {
                own.end(self.registry.clock().now());
            }
            own.keep(self.registry, self.pace).await;
        }
        hashed.map(drop)
    }

    async fn pass(
        &self,
        options: &Options,
        wanted: &HashSet<Hash>,
        linked: Option<&mut HashSet<Hash>>,
    ) -> StructureFindings {
        let pass = StructurePass {
            registry: self.registry,
            options,
            pace: self.pace,
            sizes: &self.sizes,
            wanted,
            verdicts: &self.verdicts,
            linked,
        };
        pass.run().await
    }

    /// Finds which images need what is damaged: a report without them is worth little, but more than none.
    async fn find_users(&mut self) {
        let wanted: HashSet<Hash> = self.findings.digests().collect();
        if wanted.is_empty() {
            return;
        }
        self.without_users = match self.users_of(&wanted).await {
            Ok(true) => {
                let unseen = self.unseen.as_ref();
                unseen.map(|place| format!("{place} cannot be seen, and may have images that need it"))
            }
            Ok(false) => Some("the run was stopped".to_owned()),
            Err(error) => {
                let reason = format!("the images that need it are not known: {}", with_causes(&error));
                tracing::warn!(reason, "verification of damaged or missing content: {reason}");
                Some(reason)
            }
        };
    }

    /// Adds the images that need this content. Returns whether all of them are known.
    async fn users_of(&mut self, wanted: &HashSet<Hash>) -> Result<bool> {
        if self.options.stop.is_cancelled() {
            return Ok(false);
        }
        // In all repositories: moving data aside concerns them, too.
        let options = Options { selection: Selection::default(), data: None, ..self.options.clone() };
        let pace = Pace::new(&options);
        let pass = StructurePass {
            registry: self.registry,
            options: &options,
            pace: &pace,
            sizes: &self.sizes,
            wanted,
            verdicts: &self.verdicts,
            linked: None,
        };
        let found = pass.run().await;
        if let Some(failure) = found.failure {
            return Err(failure);
        }
        self.findings.add_needs(&found.users);
        self.users = found.users;
        self.unseen = found.unseen;
        Ok(found.is_complete)
    }

    /// Whether manifests were healed since this was last asked.
    fn healed_manifests(&mut self) -> bool {
        let is_healed = |problem: &&mut Problem| {
            let of_itself =
                problem.needed_by.iter().any(|need| Some(&need.manifest) == problem.digest.as_ref());
            of_itself && matches!(problem.outcome, RepairOutcome::Healed(_))
        };
        let healed = self.findings.problems_mut().filter(is_healed).count();
        std::mem::replace(&mut self.healed, healed) < healed
    }

    /// Reads the structure once more. Returns whether more problems were found.
    async fn recheck_structure(&mut self) -> bool {
        self.verdicts.forget_faults();
        let found = self.pass(self.options, &HashSet::new(), None).await;
        if let Some(error) = found.failure {
            let error = with_causes(&error);
            tracing::warn!(%error, "verification: cannot check what the healed manifests need: {error}; verify again");
            return false;
        }
        let before = self.findings.count();
        let (problems, _) = found.findings.into_parts();
        problems.into_iter().for_each(|problem| self.findings.add(problem));
        let found_more = self.findings.count() > before;
        if found_more {
            self.find_users().await;
        }
        found_more
    }

    async fn repair(&mut self, ending: EndReason) {
        for problem in self.findings.problems_mut().filter(|it| it.outcome == RepairOutcome::Reported) {
            if self.options.stop.is_cancelled() {
                return;
            }
            let source = self.options.source.as_deref();
            // One file that cannot be written is no reason to give up the others, or the report.
            if let Err(error) = repair_in_place(self.registry, source, problem, &self.users).await {
                problem.outcome = RepairOutcome::Left(with_causes(&error));
            }
        }
        let is_damaged = |problem: &&mut Problem| {
            matches!(problem.kind, ProblemKind::Damaged { .. }) && problem.outcome == RepairOutcome::Reported
        };
        let damaged: Vec<_> = self.findings.problems_mut().filter(is_damaged).collect();
        let reason = match (ending, &self.without_users) {
            (EndReason::TooMuch, _) => {
                "so much is damaged that the disk or the memory must be defective; look after them first"
            }
            (_, Some(reason)) => reason,
            _ => return move_aside(self.registry, self.options, damaged, &self.users).await,
        };
        for problem in damaged {
            problem.outcome = RepairOutcome::Left(reason.to_owned());
        }
    }
}

/// Mends one problem without moving anything.
async fn repair_in_place(
    registry: &Registry,
    source: Option<&dyn HealSource>,
    problem: &mut Problem,
    users: &Users,
) -> Result<()> {
    let _write = registry.begin_write()?;
    write_link(registry, problem).await?;
    heal(registry, source, problem, users).await
}
