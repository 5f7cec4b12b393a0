//! The report of `registry export`.

use std::collections::HashSet;

use sampan_bundle::Bundle;
use sampan_driver::HumanSize;
use sampan_transfer::RewrittenImage;
use serde_json::json;

use super::args::ReportFormat;
use super::export::images;
use super::export_args::ExportArgs;
use super::terminal::count;

/// Prints what was exported, or would be, with `print`.
pub(super) fn report(
    args: &ExportArgs,
    bundle: &Bundle,
    failures: usize,
    rewritten: &[RewrittenImage],
    print: fn(String),
) -> Result<(), Box<dyn std::error::Error>> {
    let (plan, len) = (bundle.plan(), bundle.layout().len_bytes());
    let totals = plan.totals()?;
    if args.report.format == ReportFormat::Json {
        let images: Vec<String> = images(plan).collect();
        print(serde_json::to_string_pretty(&json!({
            "name": bundle.name(),
            "bytes": len,
            "images": images,
            "blobs": totals.blobs,
            "presumedBytes": totals.presumed_bytes,
            "leftOut": failures,
            "rewritten": rewritten.iter().map(|it| json!({
                "image": it.image,
                "from": it.from,
                "to": it.to,
                "leftOutReferrers": it.left_out_referrers,
            })).collect::<Vec<_>>(),
        }))?);
        return Ok(());
    }
    if args.dry_run {
        images(plan).for_each(print);
    }
    let repositories: HashSet<_> = plan.repositories.iter().map(|it| &it.name).collect();
    let presumed = match totals.presumed_bytes {
        0 => String::new(),
        bytes => format!(", without {} that the far side has", HumanSize(bytes)),
    };
    let done = if args.dry_run { "would be exported" } else { "exported" };
    print(format!(
        "{} of {} {done}: {}{presumed}\n{}",
        count(plan.images().count() as u64, "image"),
        count(repositories.len() as u64, "repository"),
        HumanSize(len),
        bundle.name()
    ));
    Ok(())
}
