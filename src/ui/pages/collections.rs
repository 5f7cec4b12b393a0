//! Garbage collections: when they run, what the last ones did, and one now; and the verification of the store.

use askama::Template;
use http::StatusCode;
use sampan_engine::gc::Report;
use serde_json::{Value, json};

use super::verification::{Section, Verification};
use crate::changes::DeniedAccess;
use crate::frame::Frame;
use crate::gate::{Refusal, Right, Visitor};
use crate::housekeeping::{CannotCollect, Collection, CollectionEnd, Collections};
use crate::language::Language;
use crate::pages::Problem;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The most files that a report names.
const MAX_NAMED: usize = 20;

#[derive(Template)]
#[template(path = "collections.html")]
struct CollectionsPage {
    f: Frame,
    message: Option<String>,
    schedule: String,
    grace: String,
    untagged: String,
    running: Option<Moment>,
    requested: bool,
    action: String,
    token: String,
    may_collect: bool,
    read_only: bool,
    runs: Vec<Run>,
    verification: Option<Section>,
}

struct Run {
    begun: Option<Moment>,
    duration: String,
    is_dry: bool,
    /// `None` if it finished.
    reason: Option<String>,
    is_failure: bool,
    freed: String,
    numbers: Vec<(String, u64)>,
    unreadable: Vec<String>,
}

/// Whether the visitor may see collections: they say something of all repositories.
pub(crate) fn may_see(scene: &PageContext<'_>, visitor: &Visitor) -> bool {
    scene.housekeeping().is_some() && visitor.rights.everywhere(Right::Pull)
}

/// Whether the visitor may begin one.
fn may_collect(visitor: &Visitor) -> bool {
    visitor.rights.everywhere(Right::Delete)
}

/// Shows the collections.
pub(crate) async fn show(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    page(scene, visitor, StatusCode::OK, None).await
}

/// Refuses a visitor who may not begin a collection.
fn check(scene: &PageContext<'_>, visitor: &Visitor) -> Result<(), Problem> {
    let is_permitted = may_collect(visitor) && may_see(scene, visitor);
    if let (false, Some(user), Some(_)) = (is_permitted, &visitor.user, scene.housekeeping()) {
        scene.visit.changes.refused(&scene.visit.parts, user, DeniedAccess::Collections);
    }
    match may_collect(visitor) {
        true if may_see(scene, visitor) => Ok(()),
        _ if scene.housekeeping().is_none() => Err(Problem::NotFound),
        _ if visitor.user.is_none() && scene.gate().has_login() => {
            Err(Problem::Refused(Refusal::LoginNeeded))
        }
        _ if may_see(scene, visitor) => Err(Problem::Forbidden),
        _ => Err(Problem::NotFound),
    }
}

/// Begins a collection, or a dry run.
pub(crate) async fn begin(scene: &PageContext<'_>, visitor: &Visitor) -> Result<Reply, Problem> {
    check(scene, visitor)?;
    let housekeeping = scene.housekeeping().ok_or(Problem::NotFound)?;
    let begun = match scene.visit.form.get("mode") {
        Some("run") => housekeeping.collect().inspect(|()| {
            scene.visit.changes.collection_requested(&scene.visit.parts, visitor.user.as_deref());
        }),
        _ => housekeeping.dry_run(),
    };
    match begun {
        Ok(()) => Ok(reply::see_other(&scene.frame(None).to(&Route::Collections))),
        Err(refusal) => {
            page(scene, visitor, StatusCode::CONFLICT, Some(sentence(scene.visit.language, refusal))).await
        }
    }
}

async fn page(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    status: StatusCode,
    message: Option<String>,
) -> Result<Reply, Problem> {
    let housekeeping = scene.housekeeping().filter(|_| may_see(scene, visitor)).ok_or(Problem::NotFound)?;
    let state = housekeeping.collections();
    let verification = Verification::read(scene).await?;
    if scene.visit.wants_json() {
        let mut twin = twin(&state);
        twin["verification"] = verification.as_ref().map_or(Value::Null, Verification::twin);
        return Ok(reply::json(status, &twin));
    }
    let f = scene.frame(Some(visitor));
    let t = f.t;
    let page = CollectionsPage {
        message,
        schedule: match &state.schedule {
            None => t.gc_on_request(),
            Some(schedule) => match &schedule.window {
                None => t.gc_every(&shown::duration(t, schedule.interval)),
                Some(window) => t.gc_every_within(&shown::duration(t, schedule.interval), window),
            },
        },
        grace: shown::duration(t, state.grace),
        untagged: if state.delete_untagged { t.gc_untagged_go() } else { t.gc_untagged_stay() },
        running: state.running.and_then(Moment::of),
        requested: state.requested,
        action: f.to(&Route::Collect),
        token: scene.token(&Route::Collect),
        may_collect: may_collect(visitor),
        read_only: state.read_only,
        runs: state.last.iter().map(|run| self::run(t, run)).collect(),
        verification: verification.as_ref().map(|it| it.section(&f)),
        f: f.titled(t.collections()),
    };
    Ok(reply::page(status, &page))
}

fn run(t: Language, run: &Collection) -> Run {
    let (report, reason) = match &run.end {
        CollectionEnd::Finished(report) => (Some(report), None),
        CollectionEnd::Stopped(reason) => (None, Some(format!("{}: {reason}", t.gc_stopped()))),
        CollectionEnd::Elsewhere(reason) => (None, Some(format!("{}: {reason}", t.gc_elsewhere()))),
        CollectionEnd::Failed(reason) => (None, Some(reason.clone())),
    };
    let seconds = run.duration.as_secs_f64();
    Run {
        begun: Moment::of(run.begun),
        duration: if seconds < 60.0 { format!("{seconds:.1} s") } else { shown::duration(t, run.duration) },
        is_dry: run.is_dry_run,
        reason: reason.map(|reason| shown::text(&reason)),
        is_failure: matches!(run.end, CollectionEnd::Failed(_)),
        freed: report.map(|report| shown::size(report.bytes())).unwrap_or_default(),
        numbers: report.map(|report| numbers(t, report)).unwrap_or_default(),
        unreadable: report
            .map(|report| {
                report
                    .unreadable
                    .iter()
                    .take(MAX_NAMED)
                    .map(|it| shown::text(&format!("{}: {}", it.path, it.reason)))
                    .collect()
            })
            .unwrap_or_default(),
    }
}

fn numbers(t: Language, report: &Report) -> Vec<(String, u64)> {
    let all = [
        (t.gc_blobs(), report.blobs.count),
        (t.gc_manifests(), report.manifests),
        (t.gc_uploads(), report.uploads.count),
        (t.gc_young(), report.young.count),
        (t.gc_unreadable(), report.unreadable.len() as u64),
    ];
    all.into_iter().filter(|(_, number)| *number > 0).collect()
}

/// The twin in JSON.
fn twin(state: &Collections) -> Value {
    let machine = |time| Moment::of(time).map(|moment| moment.machine);
    let runs: Vec<Value> = state
        .last
        .iter()
        .map(|run| {
            let (outcome, report, reason) = match &run.end {
                CollectionEnd::Finished(report) => ("finished", Some(report), None),
                CollectionEnd::Stopped(reason) => ("stopped", None, Some(reason)),
                CollectionEnd::Elsewhere(reason) => ("elsewhere", None, Some(reason)),
                CollectionEnd::Failed(reason) => ("failed", None, Some(reason)),
            };
            json!({
                "begun": machine(run.begun),
                "dryRun": run.is_dry_run,
                "durationSeconds": run.duration.as_secs_f64(),
                "outcome": outcome,
                "reason": reason,
                "report": report,
            })
        })
        .collect();
    json!({
        "intervalSeconds": state.schedule.as_ref().map(|schedule| schedule.interval.as_secs()),
        "window": state.schedule.as_ref().and_then(|schedule| schedule.window.as_deref()),
        "graceSeconds": state.grace.as_secs(),
        "deleteUntagged": state.delete_untagged,
        "readOnly": state.read_only,
        "requested": state.requested,
        "running": state.running.and_then(machine),
        "last": runs,
    })
}

fn sentence(t: Language, refusal: CannotCollect) -> String {
    match refusal {
        CannotCollect::Running => t.gc_is_running(),
        CannotCollect::ReadOnly => t.gc_read_only(),
        CannotCollect::ShuttingDown => t.gc_shutting_down(),
    }
}
