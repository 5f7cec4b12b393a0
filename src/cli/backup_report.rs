//! Prints the results of `registry backup`.

use std::time::Duration;

use sampan_driver::HumanSize;
use sampan_engine::FirstItems;
use sampan_engine::backup::{
    Check, Pruned, Restored, Run, SkipReason, SnapshotChoice, SnapshotId, Summary, TagThere, Totals,
};
use serde_json::{Value, json};

use super::args::ReportFormat;
use super::migrate_json;
use super::migrate_report::{amounts, list, print_findings};
use super::terminal::{count, printable, say, warn};

/// Prints what a backup has made. `to` is the store of the backups; `unmatched` are the patterns that no repository matches.
pub(super) fn print_run(run: &Run, to: &str, unmatched: &[String], took: Duration, format: ReportFormat) {
    let names = |ids: &[SnapshotId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    match format {
        ReportFormat::Json => {
            let mut fields = summary(&run.snapshot);
            fields["pass"] = migrate_json::pass(&run.pass);
            fields["new_store"] = run.is_first.into();
            fields["future"] = names(&run.future).into();
            fields["unmatched"] = unmatched.into();
            fields["tokens_vanished"] = run.tokens_vanished.into();
            fields["duration_secs"] = took.as_secs_f64().into();
            say(fields.to_string());
        }
        ReportFormat::Text => {
            if run.is_first {
                say(printable(&format!("began a new store of backups: {to}")));
            }
            print_findings(&run.pass);
            for name in &run.snapshot.vanished {
                warn(printable(&format!(
                    "the store shows nothing of {name}, but earlier snapshots have repositories there: mount what is \
                     missing; if it was deleted on purpose, confirm that once with `--yes`"
                )));
            }
            if run.tokens_vanished {
                warn(
                    "the store has no access tokens any more, so the backups keep theirs: bring back what is missing; if they were \
                     deleted on purpose, confirm that once with `--yes`",
                );
            }
            warn_of_future(&run.future);
            let (id, totals) = (run.snapshot.id, held(&run.snapshot.totals));
            let (copied, seconds) = (amounts(&run.pass.copied), took.as_secs_f64());
            say(format!("snapshot {id}: {totals}; copied {copied} in {seconds:.1} s"));
        }
    }
}

/// Says which later snapshots a restore passes over.
pub(super) fn warn_of_choice(SnapshotChoice { id, is_part, passed_over }: &SnapshotChoice) {
    for (later, because) in passed_over {
        let has = match because {
            SkipReason::Part => "has only some repositories",
            SkipReason::Future => "is of the future: a clock was, or is, wrong",
        };
        warn(format!(
            "the snapshot of {later} {has}; the one of {id} is restored, unless `--at {later}` names that"
        ));
    }
    if *is_part {
        warn(format!("the snapshot of {id} has only some repositories"));
    }
}

fn warn_of_future(future: &[SnapshotId]) {
    for id in future {
        warn(format!(
            "the snapshot of {id} is of the future: a clock was, or is, wrong; it counts for nothing, and stays until then"
        ));
    }
}

pub(super) fn print_list(found: &[(SnapshotId, Result<Summary, String>)], format: ReportFormat) {
    match format {
        ReportFormat::Json => {
            let item = |(id, found): &(SnapshotId, Result<Summary, String>)| match found {
                Ok(found) => summary(found),
                Err(reason) => json!({"snapshot": id.to_string(), "damaged": reason}),
            };
            say(Value::from_iter(found.iter().map(item)).to_string());
        }
        ReportFormat::Text => {
            for (id, found) in found {
                say(match found {
                    Ok(Summary { from, is_everything, selected, totals, .. }) => {
                        let part = match (is_everything, selected.is_empty()) {
                            (true, _) => String::new(),
                            (false, true) => " (a part)".to_owned(),
                            (false, false) => printable(&format!(" (a part: {})", selected.join(" "))),
                        };
                        format!("{id}\t{}\t{}{part}", held(totals), printable(from))
                    }
                    Err(reason) => format!("{id}\tis damaged: {}", printable(reason)),
                });
            }
            if found.is_empty() {
                warn("there is no snapshot in this store");
            }
        }
    }
}

pub(super) fn print_restored(
    restored: &Restored,
    dry_run: bool,
    unmatched: &[String],
    took: Duration,
    format: ReportFormat,
) {
    let Restored { id, totals, pass, replaced, newer, tokens } = restored;
    let pushed = &pass.pushed;
    if format == ReportFormat::Json {
        let tag = |it: &TagThere| json!({"repository": it.repository.as_str(), "tag": it.tag.as_str(), "digest": it.digest});
        let names = |tags: &FirstItems<TagThere>| migrate_json::named(tags, tag);
        let fields = json!({
            "snapshot": id.to_string(), "dry_run": dry_run, "repositories": totals.repositories, "tags": totals.tags,
            "manifests": totals.manifests, "pass": migrate_json::pass(pass), "replaced": names(replaced), "pushed": names(pushed),
            "newer": names(newer),
            "unmatched": unmatched,
            "duration_secs": took.as_secs_f64(),
        });
        say(fields.to_string());
        return;
    }
    list(replaced, if dry_run { "would be pointed back" } else { "pointed back" }, ToString::to_string);
    list(newer, "not in the snapshot, and stays", ToString::to_string);
    list(pushed, "pushed since the restore began, and stays", ToString::to_string);
    print_findings(pass);
    if *tokens > 0 {
        say("the access tokens of the last backup are there again");
    }
    let (verb, copied) = (if dry_run { "would copy" } else { "copied" }, amounts(&pass.copied));
    let totals = held(totals);
    say(format!("snapshot {id}: {totals}; {verb} {copied} in {:.1} s", took.as_secs_f64()));
}

pub(super) fn print_pruned(pruned: &Pruned, dry_run: bool, format: ReportFormat) {
    let Pruned { kept, deleted, future, collection } = pruned;
    if format == ReportFormat::Json {
        let kept = kept.iter().map(|(id, reasons)| json!({"snapshot": id.to_string(), "because": reasons}));
        let fields = json!({
            "dry_run": dry_run, "kept": kept.collect::<Vec<_>>(),
            "deleted": deleted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "blobs": collection.blobs.count, "bytes": collection.blobs.bytes,
            "young_blobs": collection.young.count, "young_bytes": collection.young.bytes,
        });
        say(fields.to_string());
        return;
    }
    for (id, reasons) in kept {
        say(format!("{id}\tstays ({})", reasons.join(", ")));
    }
    warn_of_future(future);
    for id in deleted {
        say(format!("{id}\t{}", if dry_run { "would go" } else { "is deleted" }));
    }
    let (blobs, size) = (count(collection.blobs.count, "blob"), HumanSize(collection.blobs.bytes));
    say(format!("{} {blobs} ({size})", if dry_run { "would delete" } else { "deleted" }));
    if collection.young.count > 0 {
        let (young, size) = (count(collection.young.count, "blob"), HumanSize(collection.young.bytes));
        warn(format!(
            "{young} ({size}) that no snapshot has are younger than the grace period: a later prune deletes them"
        ));
    }
}

pub(super) fn print_check(check: &Check, format: ReportFormat) {
    let hurt = |id| check.hurt.get(&id).copied().unwrap_or_default();
    if format == ReportFormat::Json {
        let snapshot = |of: &Summary| {
            let mut fields = summary(of);
            fields["hurt"] = hurt(of.id).into();
            fields
        };
        let damaged = check.damaged.iter();
        let missing = check.missing.items.iter();
        let fields = json!({
            "snapshots": check.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
            "damaged": damaged.map(|(id, reason)| json!({"snapshot": id.to_string(), "reason": reason})).collect::<Vec<_>>(),
            "missing": missing
                .map(|(name, digest, id)| json!({"repository": name.as_str(), "manifest": digest, "snapshot": id.to_string()}))
                .collect::<Vec<_>>(),
            "verification": check.report,
        });
        say(fields.to_string());
        return;
    }
    super::verify::print(&check.report, true);
    list(&check.missing, "missing", |(name, digest, id)| {
        format!("{name}@{digest}, first in the snapshot of {id}")
    });
    for (id, reason) in &check.damaged {
        say(format!("{id}\tis damaged: {}", printable(reason)));
    }
    for Summary { id, totals, .. } in &check.snapshots {
        match hurt(*id) {
            0 => say(format!("{id}\tcan be restored: {}", held(totals))),
            hurt => say(format!("{id}\tlacks something in {}", count(hurt, "manifest"))),
        }
    }
    if !check.damaged.is_empty() {
        warn(
            "another copy of a damaged snapshot may be whole; without one, delete the file: the other snapshots do not need it",
        );
    }
    if check.missing.count > 0 || !check.report.is_whole() {
        warn(
            "`registry verify --repair --heal-from` repairs the store of the backups with what the saved store has whole",
        );
    }
}

/// The counts of the content of a snapshot.
fn held(Totals { repositories, tags, manifests }: &Totals) -> String {
    let (repositories, tags) = (count(*repositories, "repository"), count(*tags, "tag"));
    format!("{repositories}, {tags} and {}", count(*manifests, "manifest"))
}

fn summary(Summary { id, from, is_everything, selected, vanished, totals }: &Summary) -> Value {
    json!({
        "snapshot": id.to_string(), "from": from, "everything": is_everything, "selected": selected, "vanished": vanished,
        "repositories": totals.repositories,
        "tags": totals.tags, "manifests": totals.manifests,
    })
}
