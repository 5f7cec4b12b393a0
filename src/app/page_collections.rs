//! The collector as the web page sees it.

use std::time::Duration;

use sampan_ui::{CannotCollect, Collection, CollectionEnd, CollectionSchedule, Collections, Housekeeping};

use crate::maintenance::{Collector, Run, RunOutcome, StartRefused, Trigger};

impl Housekeeping for Collector {
    fn collections(&self) -> Collections {
        let state = self.state();
        let settings = self.settings();
        Collections {
            schedule: settings.schedule.map(|schedule| CollectionSchedule {
                interval: schedule.interval,
                window: schedule.window.map(|window| window.to_string()),
            }),
            grace: settings.grace,
            delete_untagged: settings.delete_untagged,
            read_only: state.read_only,
            requested: state.requested,
            running: state.running.map(|running| running.begun),
            last: state.last.into_iter().map(shown).collect(),
        }
    }

    fn collect(&self) -> Result<(), CannotCollect> {
        self.request_collection().map_err(refused)
    }

    fn dry_run(&self) -> Result<(), CannotCollect> {
        self.request_dry_run().map_err(refused)
    }
}

fn refused(refusal: StartRefused) -> CannotCollect {
    match refusal {
        StartRefused::Running => CannotCollect::Running,
        StartRefused::ReadOnly => CannotCollect::ReadOnly,
        StartRefused::ShuttingDown => CannotCollect::ShuttingDown,
    }
}

fn shown(run: Run) -> Collection {
    Collection {
        is_dry_run: run.trigger == Trigger::DryRun,
        begun: run.begun,
        duration: Duration::from_secs_f64(run.duration_secs),
        end: match run.outcome {
            RunOutcome::Finished { report } => CollectionEnd::Finished(report),
            RunOutcome::Stopped { reason } => CollectionEnd::Stopped(reason),
            RunOutcome::Elsewhere { reason } => CollectionEnd::Elsewhere(reason),
            RunOutcome::Failed { error } => CollectionEnd::Failed(error),
        },
    }
}
