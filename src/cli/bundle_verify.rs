//! `registry bundle verify`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_bundle::{Fault, Reader, Verification, verify};
use sampan_client::Limits;
use sampan_driver::HumanSize;
use sampan_transfer::{Missing, MissingFrom, MissingImage, Progress, images_with, missing};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::args::ReportFormat;
use super::endpoint::Endpoint;
use super::export_args::positive;
use super::input_error::of_input;
use super::interruption::until_interrupted;
use super::login::LoginOptions;
use super::missing::name_missing;
use super::progress::{ProgressMode, TransferSize, show};
use super::report::ReportOptions;
use super::terminal::{count, printable, say, warn};
use super::transfer::{DAMAGED, verify_signature};
use crate::drivers::Drivers;

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The bundle: its file, its parts, or its name without .001
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Also check the signature with this public key (PEM)
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,

    /// Also check that this registry, or the store of this configuration (.yml), has what the bundle presumes: exit
    /// code 5 and the images if not
    #[arg(long, value_name = "URL|CONFIG")]
    against: Option<Endpoint>,

    #[command(flatten)]
    login: LoginOptions,

    /// How many threads read and hash; else the number of processors
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    jobs: Option<usize>,

    #[command(flatten)]
    report: ReportOptions,
}

pub(super) fn run(
    drivers: &Drivers,
    runtime: &Runtime,
    args: VerifyArgs,
) -> Result<ExitCode, Box<dyn Error>> {
    let VerifyArgs { files, key, against, login, jobs, report } = args;
    if !matches!(against, Some(Endpoint::Registry(_))) {
        login.refuse_without("--against URL")?;
    }
    let opened = runtime.block_on(Reader::open(&files)).map_err(Into::into);
    let checked = opened.and_then(|reader| verify_signature(&reader, key.as_deref()).map(|()| reader));
    let reader = checked.map_err(|error| of_input(error, &files))?;
    let jobs = jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let verification = verify_all(&reader, jobs, report.progress())?;
    let is_damaged = !verification.faults.is_empty();
    let missing = match &against {
        Some(against) if !is_damaged => Some(runtime.block_on(compare(drivers, &reader, against, &login))?),
        _ => None,
    };
    if report.format == ReportFormat::Json {
        say(serde_json::to_string_pretty(&json(&reader, &verification, key.is_some(), missing.as_ref()))?);
    }
    if is_damaged {
        name_faults(&verification);
        return Ok(ExitCode::from(DAMAGED));
    }
    if let Some(missing) = missing.filter(|missing| !missing.contents.is_empty()) {
        return Err(name_missing(sampan_transfer::Error::PresumedMissing(missing).into(), None));
    }
    if !report.quiet && report.format == ReportFormat::Text {
        say(format!(
            "{} of {} verified{}{}\n{}",
            count(verification.contents, "blob"),
            HumanSize(verification.bytes),
            if key.is_some() { ", and the signature" } else { "" },
            if against.is_some() { "; all that the bundle presumes is there" } else { "" },
            reader.bundle().name()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn name_faults(verification: &Verification) {
    verification.faults.iter().for_each(|fault| warn(printable(&fault.to_string())));
    if verification.further_faults > 0 {
        warn(format!("and {}", count(verification.further_faults, "further fault")));
    }
}

/// The report. `missing` is what a registry lacks of the presumed content, if one was asked.
fn json(reader: &Reader, verification: &Verification, is_signed: bool, missing: Option<&Missing>) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "entry": fault.entry,
            "offset": fault.offset,
            "part": fault.part.as_ref().map(|part| part.display().to_string()),
            "problem": fault.problem,
        })
    };
    let image = |image: &MissingImage| {
        json!({
            "repository": image.repository.as_str(),
            "digest": image.digest,
            "tags": image.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": reader.bundle().name(),
        "blobs": verification.contents,
        "bytes": verification.bytes,
        "signature": is_signed.then_some("verified"),
        "faults": verification.faults.iter().map(fault).collect::<Vec<_>>(),
        "furtherFaults": verification.further_faults,
        "missing": missing.map(|missing| json!({
            "blobs": missing.contents,
            "images": missing.images.iter().map(image).collect::<Vec<_>>(),
        })),
    })
}

fn verify_all(reader: &Reader, jobs: usize, mode: ProgressMode) -> Result<Verification, Box<dyn Error>> {
    let Some(files) = reader.files() else { return Ok(Verification::default()) };
    let progress = Arc::new(Progress::default());
    let whole = TransferSize { bytes: reader.plan().totals()?.bytes, images: None };
    let _shown = show(mode, progress.clone(), whole);
    let add = |bytes| {
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    };
    Ok(verify(files, reader.bundle(), jobs, &add)?)
}

/// What a registry lacks of the content that the bundle presumes.
async fn compare(
    drivers: &Drivers,
    reader: &Reader,
    against: &Endpoint,
    login: &LoginOptions,
) -> Result<Missing, Box<dyn Error>> {
    let target = against.compared(drivers, login).await?;
    let contents = until_interrupted(missing(reader.plan(), &*target)).await??;
    let images = match contents.is_empty() {
        true => Vec::new(),
        false => images_with(reader, &contents, Limits::default().manifest_bytes).await?,
    };
    Ok(Missing { contents, images, supplement: MissingFrom::Export })
}
