//! `registry bundle`: looks at bundles. `bundle_verify.rs` checks them, `bundle_serve.rs` serves them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use sampan_bundle::{Plan, PlannedImage, PlannedRepository, is_compressed};
use sampan_driver::HumanSize;
use sampan_engine::oci::Digest;
use serde_json::json;

use super::args::ReportFormat;
use super::bundle_serve::{self, ServeArgs};
use super::bundle_verify::{self, VerifyArgs};
use super::export::images;
use super::terminal::{count, printable, say};
use super::transfer::{Failed, MaybePlan, existing_plan};
use crate::drivers::Drivers;

#[derive(Debug, Subcommand)]
pub(super) enum BundleCommand {
    /// List the images of a bundle, from its first bytes
    Ls {
        /// The bundle: its file, its first part, its name without .001, or its bundle.json
        file: PathBuf,

        /// The format
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// Check every byte of a bundle, and that it is whole: exit code 4 and all faults if not
    Verify(Box<VerifyArgs>),
    /// Serve the images of bundles in place, read-only; a delta together with the bundles that have the rest
    Serve(ServeArgs),
    /// Compare the images of two bundles
    Diff {
        /// The older bundle, or its bundle.json
        old: PathBuf,

        /// The newer bundle, or its bundle.json
        new: PathBuf,

        /// The format
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
}

pub(super) fn run(drivers: &Drivers, command: BundleCommand) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = super::runtime::start;
    match command {
        BundleCommand::Ls { file, format } => {
            let (plan, name) = runtime()?.block_on(plan_of(file))?;
            ls(&plan, &name, format)?;
        }
        BundleCommand::Diff { old, new, format } => {
            let runtime = runtime()?;
            let (old, _) = runtime.block_on(plan_of(old))?;
            let (new, _) = runtime.block_on(plan_of(new))?;
            diff(&old, &new, format)?;
        }
        BundleCommand::Verify(args) => return bundle_verify::run(drivers, &runtime()?, *args),
        BundleCommand::Serve(args) => return bundle_serve::run(drivers, args),
    }
    Ok(ExitCode::SUCCESS)
}

async fn plan_of(file: PathBuf) -> Result<(Plan, Digest), Box<dyn std::error::Error>> {
    let other = match existing_plan(&file).await? {
        MaybePlan::Plan(plan, name) => return Ok((*plan, name)),
        MaybePlan::Other(other) => other,
    };
    let mut first = Vec::new();
    other.take(4).read_to_end(&mut first)?;
    let remedy = if is_compressed(&first) { ": it is compressed, so decompress it first" } else { "" };
    Err(Failed(format!("{} is neither a bundle nor a bundle.json{remedy}", file.display())).into())
}

fn ls(plan: &Plan, name: &Digest, format: ReportFormat) -> Result<(), Box<dyn std::error::Error>> {
    let totals = plan.totals()?;
    let origins: HashMap<&Digest, &Digest> = plan.rewritten.iter().map(|it| (&it.digest, &it.from)).collect();
    let origin = |image: &PlannedImage| origins.get(&image.digest).copied();
    if format == ReportFormat::Json {
        let image = |(repository, image): (&PlannedRepository, &PlannedImage)| {
            let left_out = image.left_out.iter();
            let left_out = left_out.map(|it| json!({ "digest": it.digest, "platform": it.platform }));
            let referrers = image.referrers.iter().map(
                |it| json!({ "digest": it.digest, "subject": it.subject, "artifactType": it.artifact_type }),
            );
            json!({
                "repository": repository.name.as_str(),
                "digest": image.digest,
                "madeOf": origin(image),
                "tags": image.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
                "mediaType": image.media_type,
                "leftOut": left_out.collect::<Vec<_>>(),
                "referrers": referrers.collect::<Vec<_>>(),
            })
        };
        let whole = json!({
            "name": name,
            "source": plan.source,
            "created": plan.created,
            "bases": plan.bases,
            "totals": totals,
            "images": plan.images().map(image).collect::<Vec<_>>(),
        });
        say(serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    for (repository, image) in plan.images() {
        let mut notes: Vec<String> = Vec::new();
        notes.extend(origin(image).map(|from| format!("made of {from}")));
        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        image.referrers.iter().for_each(|it| *types.entry(&it.artifact_type).or_default() += 1);
        notes.extend(types.iter().map(|(kind, number)| format!("{number} {}", printable(kind))));
        let platforms: HashSet<String> = image.left_out.iter().map(|it| printable(&it.platform)).collect();
        let mut platforms: Vec<String> =
            platforms.into_iter().filter(|platform| !platform.is_empty()).collect();
        platforms.sort();
        if !platforms.is_empty() {
            notes.push(format!("without {}", platforms.join(",")));
        }
        let name = match image.tags.is_empty() {
            true => repository.name.to_string(),
            false => image
                .tags
                .iter()
                .map(|tag| format!("{}:{tag}", repository.name))
                .collect::<Vec<_>>()
                .join(" "),
        };
        let mut line = format!("{name}\t{}", image.digest);
        if !notes.is_empty() {
            line.push_str(&format!("\t{}", notes.join(", ")));
        }
        say(line);
    }
    let presumed = match plan.presumed.len() {
        0 => String::new(),
        number => format!(
            "; the far side must have {} of {}: docker needs them there too, ctr and podman refuse the bundle",
            count(number as u64, "blob"),
            HumanSize(totals.presumed_bytes)
        ),
    };
    say(format!("{} of {}{presumed}\n{name}", count(totals.blobs, "blob"), HumanSize(totals.bytes)));
    Ok(())
}

fn diff(old: &Plan, new: &Plan, format: ReportFormat) -> Result<(), Box<dyn std::error::Error>> {
    let (before, after) = (named(old), named(new));
    let known: HashSet<&Digest> = old.contents.iter().map(|content| &content.digest).collect();
    let new_bytes: u64 = new
        .contents
        .iter()
        .filter(|content| !known.contains(&content.digest))
        .map(|content| content.size_bytes)
        .sum();
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => lines.push(("changed", name, Some(old), Some(new))),
            (old, new) => lines.push((if old.is_some() { "removed" } else { "added" }, name, old, new)),
        }
    }
    if format == ReportFormat::Json {
        let changes: Vec<_> = lines
            .iter()
            .map(
                |(change, name, old, new)| json!({ "change": change, "image": name, "old": old, "new": new }),
            )
            .collect();
        say(serde_json::to_string_pretty(&json!({ "changes": changes, "newBytes": new_bytes }))?);
        return Ok(());
    }
    for (change, name, old, new) in lines {
        let digests: Vec<String> = [old, new].into_iter().flatten().map(ToString::to_string).collect();
        say(format!("{change}\t{name}\t{}", digests.join(" -> ")));
    }
    say(format!("{} that the older bundle does not have", HumanSize(new_bytes)));
    Ok(())
}

/// The digest of each name.
fn named(plan: &Plan) -> HashMap<String, Digest> {
    let digests = plan
        .images()
        .flat_map(|(_, image)| std::iter::repeat_n(image.digest.clone(), image.tags.len().max(1)));
    images(plan).zip(digests).collect()
}
