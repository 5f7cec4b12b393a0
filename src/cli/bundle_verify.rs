//! `registry bundle verify`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_bundle::{Reader, Verification, verify};
use sampan_client::Limits;
use sampan_driver::HumanSize;
use sampan_transfer::{Missing, Progress, Supplement, images_with, missing};
use tokio::runtime::Runtime;

use super::endpoint::Endpoint;
use super::export_args::positive;
use super::interruption::until_interrupted;
use super::login::LoginOptions;
use super::missing::name_missing;
use super::progress::{ProgressMode, Whole, show};
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

    /// How to show progress, on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,

    /// Print only errors
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(
    drivers: &Drivers,
    runtime: &Runtime,
    args: VerifyArgs,
) -> Result<ExitCode, Box<dyn Error>> {
    let VerifyArgs { files, key, against, login, jobs, progress, quiet } = args;
    if !matches!(against, Some(Endpoint::Registry(_))) {
        login.refuse_without("--against URL")?;
    }
    let reader = runtime.block_on(Reader::open(&files))?;
    verify_signature(&reader, key.as_deref())?;
    let jobs = jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let mode = if quiet { ProgressMode::None } else { progress };
    let verification = verify_all(&reader, jobs, mode)?;
    verification.faults.iter().for_each(|fault| warn(printable(&fault.to_string())));
    if verification.further_faults > 0 {
        warn(format!("and {}", count(verification.further_faults, "further fault")));
    }
    if !verification.faults.is_empty() {
        return Ok(ExitCode::from(DAMAGED));
    }
    if let Some(against) = &against {
        runtime.block_on(compare(drivers, &reader, against, &login))?;
    }
    if !quiet {
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

fn verify_all(reader: &Reader, jobs: usize, mode: ProgressMode) -> Result<Verification, Box<dyn Error>> {
    let Some(files) = reader.files() else { return Ok(Verification::default()) };
    let progress = Arc::new(Progress::default());
    let whole = Whole { bytes: reader.plan().totals()?.bytes, images: None };
    let _shown = show(mode, progress.clone(), whole);
    let add = |bytes| {
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    };
    Ok(verify(files, reader.bundle(), jobs, &add)?)
}

/// Checks that a registry has what the bundle presumes.
async fn compare(
    drivers: &Drivers,
    reader: &Reader,
    against: &Endpoint,
    login: &LoginOptions,
) -> Result<(), Box<dyn Error>> {
    let target = against.compared(drivers, login).await?;
    let contents = until_interrupted(missing(reader.plan(), &*target)).await??;
    if contents.is_empty() {
        return Ok(());
    }
    let images = images_with(reader, &contents, Limits::default().manifest_bytes).await?;
    let error =
        sampan_transfer::Error::PresumedMissing(Missing { contents, images, supplement: Supplement::Export });
    Err(name_missing(error.into(), None))
}
