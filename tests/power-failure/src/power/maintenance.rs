//! A repair and a migration beside the clients of a recording, and what a power failure must leave of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::ledger::{Expectation, Ledger, LedgerEntry};
use super::workload::World;
use crate::look::{Findings, StoreComparison};
use crate::registry::{Setup, Subject};

/// The work beside the clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Background {
    Nothing,
    /// Blobs are damaged, two at a time, and `verify --repair` moves them aside; clients push them again.
    Repair,
    /// `migrate` makes passes to a store on the same disk.
    Migration,
}

/// The repository of the images with a damaged layer.
pub(crate) const VICTIMS: &str = "damaged/app";

/// How many layers are damaged before each repair. Many at once stop it, as those of a defective disk.
const AT_ONCE: usize = 2;

/// Exit codes of commands that found something, but did all that they could.
const DONE: [i32; 2] = [0, 3];

impl Background {
    /// Works until `deadline`.
    pub(crate) fn run(
        self,
        world: &World,
        subject: &Subject,
        root: &Path,
        scratch: &Path,
        deadline: Instant,
    ) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Repair => repair(world, subject, root, scratch, deadline),
            Self::Migration => migrate(world, subject, root, scratch, deadline),
        }
    }
}

fn repair(world: &World, subject: &Subject, root: &Path, scratch: &Path, deadline: Instant) -> Result<()> {
    let mut victims = world.victims();
    while Instant::now() < deadline {
        for victim in victims.split_off(victims.len().saturating_sub(AT_ONCE)) {
            world.note(LedgerEntry::Damage { digest: victim.layer.clone() }, || {
                damage(&data_of(root, &victim.layer))
            })?;
        }
        world.note(LedgerEntry::Maintenance, || {
            let (code, output) = verify(subject, root, scratch)?;
            ensure!(DONE.contains(&code), "verify --repair ends with {code}: {output}");
            Ok(())
        })?;
    }
    Ok(())
}

fn migrate(world: &World, subject: &Subject, root: &Path, scratch: &Path, deadline: Instant) -> Result<()> {
    while Instant::now() < deadline {
        world.note(LedgerEntry::Maintenance, || {
            let from = subject.config(root, scratch, Setup::default())?;
            let to = subject.config(&target_of(root), scratch, Setup::default())?;
            let (code, output) =
                subject.command(scratch, &["migrate", "--quiet", "--from", &from, "--to", &to])?;
            ensure!(code == 0, "a pass of migrate ends with {code}: {output}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Changes a byte of a file, by another process: this one serves the disk.
fn damage(path: &Path) -> Result<()> {
    let of = format!("of={}", path.display());
    let done = Command::new("dd")
        .args(["if=/dev/zero", "bs=1", "count=8", "seek=16", "conv=notrunc,fsync", "status=none", &of])
        .status()?;
    ensure!(done.success(), "{} cannot be damaged", path.display());
    Ok(())
}

fn verify(subject: &Subject, root: &Path, scratch: &Path) -> Result<(i32, String)> {
    let config = subject.config(root, scratch, Setup::default())?;
    subject.command(scratch, &["verify", "--repair", "--since-start", "--progress", "none", &config])
}

fn data_of(root: &Path, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    root.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
}

/// The store that a migration fills.
fn target_of(root: &Path) -> PathBuf {
    root.with_file_name("target")
}

/// The target names its source by the directory, which was mounted elsewhere during the recording.
fn rename_source(target: &Path, root: &Path) -> Result<()> {
    let path = target.join("docker/registry/sampan/migration/begun");
    let Ok(content) = fs::read(&path) else { return Ok(()) };
    // A mark that the power failure has damaged is the program's to find.
    if let Ok(mut begun) = serde_json::from_slice::<serde_json::Value>(&content) {
        begun["from"] = format!("filesystem {}", root.canonicalize()?.display()).into();
        fs::write(&path, begun.to_string())?;
    }
    Ok(())
}

/// The data of each victim are in their place, damaged or not, or they were moved aside.
pub(super) fn check_victims(root: &Path, ledger: &Ledger, when: &str, findings: &mut Findings) {
    for victim in &ledger.victims {
        findings.required += 1;
        let hex = victim.layer.trim_start_matches("sha256:");
        let aside = root.join("docker/registry/sampan/damaged/sha256").join(hex);
        let is_aside = fs::read_dir(aside)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.path().join("data").exists());
        if !is_aside && !data_of(root, &victim.layer).exists() {
            findings.add("damaged data are gone", format!("{} ({when})", victim.layer));
        }
    }
}

/// A repair after the power failure does its work.
pub(super) fn check_repair(
    subject: &Subject,
    root: &Path,
    scratch: &Path,
    ledger: &Ledger,
    findings: &mut Findings,
) -> Result<()> {
    if ledger.victims.is_empty() {
        return Ok(());
    }
    let (code, output) = verify(subject, root, scratch)?;
    if !DONE.contains(&code) {
        findings.add("verify --repair fails", format!("code {code}: {output}"));
    }
    check_victims(root, ledger, "repaired", findings);
    Ok(())
}

/// The next pass ends, both stores are equal, and the target has everything that had to be in the source.
pub(super) fn check_migration(
    subject: &Subject,
    root: &Path,
    scratch: &Path,
    ledger: &Ledger,
    expected: &Expectation,
    findings: &mut Findings,
) -> Result<()> {
    if !ledger.is_migrated || expected.manifests.is_empty() {
        return Ok(());
    }
    let target = target_of(root);
    rename_source(&target, root)?;
    let from = subject.config(root, scratch, Setup { is_read_only: true, ..Setup::default() })?;
    let to = subject.config(&target, scratch, Setup::default())?;
    let (code, output) =
        subject.command(scratch, &["migrate", "--quiet", "--finish", "--from", &from, "--to", &to])?;
    if code != 0 {
        findings.add("migrate --finish fails", format!("code {code}: {output}"));
        return Ok(());
    }
    let registry = subject.start(&target, scratch, Setup::default())?;
    StoreComparison::new(&registry.client, &ledger.library, findings).at_everything(expected, false);
    registry.kill()
}
