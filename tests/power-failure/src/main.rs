//! Power failures and faults of the operating system, under a registry that runs (see README.md).

mod client;
mod content;
mod fault;
mod isolation;
mod look;
mod power;
mod registry;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::fault::Case;
use crate::power::Cut;
use crate::registry::Subject;

#[derive(Debug, Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a registry on real file systems, and cut the power at many points
    Power {
        #[command(flatten)]
        common: Common,
        /// File systems: ext4, xfs, btrfs, ext4-writeback
        #[arg(long, value_delimiter = ',', default_value = "ext4,xfs,btrfs")]
        file_systems: Vec<String>,
        /// Power failures on each file system
        #[arg(long, default_value_t = 30)]
        points: usize,
        /// Recordings on each file system, of different clients
        #[arg(long, default_value_t = 4)]
        recordings: usize,
        /// Record `verify --repair` and `migrate` beside clients, instead of clients and collectors
        #[arg(long)]
        maintenance: bool,
        /// Keep all recordings here, and not only those with findings in the directory for temporary files
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Leave syncs out while recording: what `strace -e inject=` takes, such as `fsync:retval=0:when=3+7`
        #[arg(long)]
        mutant: Option<String>,
    },
    /// Check a recording that was kept
    Replay {
        #[command(flatten)]
        common: Common,
        /// The directory of the recording
        directory: PathBuf,
        /// Cuts, as they are printed with each finding (POSITION:MODE:SEED); else they are chosen
        cuts: Vec<Cut>,
        #[arg(long, default_value_t = 30)]
        points: usize,
    },
    /// Let operations of the operating system fail under a registry, one at a time
    Faults {
        #[command(flatten)]
        common: Common,
        /// Cases, as they are printed with each finding (SCENARIO/FAULT/SEED); else they are chosen
        only: Vec<Case>,
        /// How many cases are run, chosen by the seed; all without it
        #[arg(long)]
        cases: Option<usize>,
        /// Only a share of them, such as 2/4: every fourth, beginning with the second
        #[arg(long, value_name = "I/N", value_parser = parse_share)]
        share: Option<(usize, usize)>,
        /// Only these scenarios
        #[arg(long, value_delimiter = ',')]
        scenarios: Vec<String>,
        /// Leave each sync out instead, and say for each whether a check has noticed
        #[arg(long)]
        lies: bool,
        /// Cases at a time
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
    /// Have staged files written out early (used by `power`)
    #[command(hide = true)]
    WriteOut { root: PathBuf },
}

#[derive(Args, Debug)]
struct Common {
    /// The registry
    #[arg(long)]
    registry: PathBuf,
    /// The registry is Debian's `docker-registry`
    #[arg(long)]
    peer: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Succeed if there are findings, and fail if there are none
    #[arg(long)]
    must_bite: bool,
}

fn main() -> ExitCode {
    match try_main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("power-failure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let Command::WriteOut { root } = &cli.command {
        power::write_out(root);
    }
    if let Some(code) = isolation::enter()? {
        return Ok(code);
    }
    let (violations, must_bite) = match cli.command {
        Command::Power { common, file_systems, points, recordings, maintenance, keep, mutant } => {
            let options =
                power::Options { file_systems, points, recordings, maintenance, seed: common.seed, keep };
            (power::run(&common.subject(mutant)?, &options)?, common.must_bite)
        }
        Command::Replay { common, directory, cuts, points } => {
            let options = power::Options {
                file_systems: Vec::new(),
                points,
                recordings: 1,
                maintenance: false,
                seed: common.seed,
                keep: None,
            };
            (power::replay(&common.subject(None)?, &directory, &cuts, &options)?, common.must_bite)
        }
        Command::Faults { common, only, cases, share, scenarios, lies, jobs } => {
            let options = fault::Options { cases, share, only, scenarios, lies, seed: common.seed, jobs };
            (fault::run(&common.subject(None)?, &options)?, common.must_bite)
        }
        Command::WriteOut { .. } => unreachable!("handled above"),
    };
    Ok(if (violations > 0) == must_bite { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `I/N` as `(I - 1, N)`.
fn parse_share(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(share, of)| Some((share.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((share, of)) if (1..=of).contains(&share) => Ok((share - 1, of)),
        _ => Err("a share is I/N with I from 1 to N".to_owned()),
    }
}

impl Common {
    fn subject(&self, mutant: Option<String>) -> Result<Subject> {
        let binary = self
            .registry
            .canonicalize()
            .with_context(|| format!("the registry {} is missing", self.registry.display()))?;
        Ok(Subject { binary, is_peer: self.peer, mutant })
    }
}
