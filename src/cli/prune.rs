//! `registry import --prune`: the tags that a mirror has and the bundle does not.

use std::error::Error;
use std::io::IsTerminal;

use sampan_bundle::Plan;
use sampan_transfer::{ImportReport, PruneOutcome, PrunePlan, PruneReport, Renames, Target};

use super::interruption::until_interrupted;
use super::misunderstood;
use super::terminal::{confirm, count, printable, say, warn};
use super::transfer::Failed;

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PruneOptions {
    /// Also show, or remove after the import, tags that the bundle lacks of the repositories that are whole in it;
    /// manifests and blobs stay until a garbage collection
    #[arg(long, value_enum, conflicts_with = "only")]
    prune: Option<PruneChoice>,

    /// Remove tags without a question, even if a repository loses more than a quarter of them
    #[arg(short, long, requires = "prune")]
    yes: bool,
}

/// The treatment of tags that the bundle lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum PruneChoice {
    /// They are shown
    Plan,
    /// They are removed
    Apply,
}

/// The tags that were found before the import, and what happens to them after it.
pub(super) struct Pruning {
    plan: PrunePlan,
    is_applied: bool,
}

impl PruneOptions {
    /// Finds the tags, and asks for what needs an answer, before anything is written.
    pub(super) async fn prepare(
        self,
        plan: &Plan,
        target: &dyn Target,
        renames: &Renames,
        is_dry: bool,
    ) -> Result<Option<Pruning>, Box<dyn Error>> {
        let Some(choice) = self.prune else { return Ok(None) };
        if self.yes && choice == PruneChoice::Plan {
            return Err(misunderstood("--yes needs `--prune apply`".to_owned()).into());
        }
        let is_applied = choice == PruneChoice::Apply && !is_dry;
        if is_applied {
            target.check_deletable()?;
        }
        let plan = until_interrupted(PrunePlan::of(plan, target, renames)).await??;
        if is_applied && !self.yes {
            ask(&plan)?;
        }
        Ok(Some(Pruning { plan, is_applied }))
    }
}

/// Asks whether repositories may lose more than a quarter of their tags.
fn ask(plan: &PrunePlan) -> Result<(), Failed> {
    let large: Vec<String> = plan
        .large()
        .map(|repository| {
            format!("{} of {} tags of {}", repository.stale.len(), repository.all, repository.name)
        })
        .collect();
    if large.is_empty() {
        return Ok(());
    }
    let large = large.join(", ");
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failed(format!(
            "--prune apply would remove {large}; nothing was imported: look at them with `--prune plan --dry-run`, and pass \
             --yes"
        )));
    }
    for tag in plan.shown().tags {
        warn(format!("{}\t{}", tag.tag, tag.digest));
    }
    match confirm(&format!("Remove these tags after the import, {large}?")) {
        true => Ok(()),
        false => Err(Failed("nothing was imported, and no tag was removed".to_owned())),
    }
}

impl Pruning {
    /// Removes the tags if that was asked for and every image was imported, and adds them to the report.
    pub(super) async fn finish(
        &self,
        target: &dyn Target,
        report: &mut ImportReport,
    ) -> Result<(), Box<dyn Error>> {
        for name in &self.plan.incomplete {
            warn(printable(&format!("{name} keeps all its tags, since it is not whole in the bundle")));
        }
        let is_applied = self.is_applied && report.failures.is_empty();
        if self.is_applied && !is_applied {
            warn("no tag is removed, since not every image was imported");
        }
        report.prune = Some(match is_applied {
            true => until_interrupted(self.plan.apply(target)).await??,
            false => self.plan.shown(),
        });
        Ok(())
    }
}

/// Prints what became of the tags.
pub(super) fn print(report: &PruneReport) {
    for tag in &report.tags {
        let what = match tag.outcome {
            PruneOutcome::Shown => "would be removed",
            PruneOutcome::Removed => "removed",
            PruneOutcome::Changed => "stays, since it changed meanwhile",
        };
        say(format!("{} {what}: {}", tag.tag, tag.digest));
    }
    let with = |outcome| report.tags.iter().filter(|tag| tag.outcome == outcome).count() as u64;
    match (with(PruneOutcome::Shown), with(PruneOutcome::Removed)) {
        (0, removed) => say(format!("{} removed that the bundle does not have", count(removed, "tag"))),
        (shown, _) => say(format!("{} would be removed", count(shown, "tag"))),
    }
}
