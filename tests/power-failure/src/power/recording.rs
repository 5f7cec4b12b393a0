//! The requests to a disk, and the disk as a power failure leaves it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::disk::zero;
use super::ledger::Ledger;

/// A request that the disk has completed.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// How many requests were complete when this one arrived. Requests that were complete when a flush arrived are on the
    /// platter when it ends.
    pub(crate) submitted: u64,
    pub(crate) offset: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Write(Vec<u8>),
    Zero(u64),
    Flush,
}

/// All data from which to make the disk of any moment.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The disk before the first request.
    pub(crate) base: PathBuf,
    pub(crate) file_system: String,
    pub(crate) log: Vec<Record>,
    pub(crate) ledger: Ledger,
}

impl Recording {
    /// Saves everything into `directory`.
    pub(crate) fn keep(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        copy_sparsely(&self.base, &directory.join("base.img"))?;
        fs::write(directory.join("ledger.json"), serde_json::to_vec(&self.ledger)?)?;
        fs::write(directory.join("file-system"), &self.file_system)?;
        let mut file = BufWriter::new(File::create(directory.join("log"))?);
        for record in &self.log {
            let (code, len, data): (u8, u64, &[u8]) = match &record.kind {
                Kind::Write(data) => (0, data.len() as u64, data),
                Kind::Zero(len) => (1, *len, &[]),
                Kind::Flush => (2, 0, &[]),
            };
            file.write_all(&[code])?;
            for number in [record.submitted, record.offset, len] {
                file.write_all(&number.to_le_bytes())?;
            }
            file.write_all(data)?;
        }
        Ok(file.flush()?)
    }

    /// Reads a recording that [`Self::keep`] has saved.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("log");
        let mut file = BufReader::new(File::open(&path).with_context(|| path.display().to_string())?);
        let mut log = Vec::new();
        loop {
            let mut code = [0; 1];
            if file.read(&mut code)? == 0 {
                break;
            }
            let mut numbers = [0; 3];
            for number in &mut numbers {
                let mut bytes = [0; 8];
                file.read_exact(&mut bytes)?;
                *number = u64::from_le_bytes(bytes);
            }
            let [submitted, offset, len] = numbers;
            let kind = match code[0] {
                0 => {
                    let mut data = vec![0; usize::try_from(len)?];
                    file.read_exact(&mut data)?;
                    Kind::Write(data)
                }
                1 => Kind::Zero(len),
                2 => Kind::Flush,
                other => bail!("{}: {other} is no kind of record", path.display()),
            };
            log.push(Record { submitted, offset, kind });
        }
        Ok(Self {
            base: directory.join("base.img"),
            file_system: fs::read_to_string(directory.join("file-system"))?,
            log,
            ledger: serde_json::from_slice(&fs::read(directory.join("ledger.json"))?)?,
        })
    }
}

/// Which of the unflushed writes are on the platter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    None,
    All,
    /// The first of them.
    Prefix,
    /// Each write, or not.
    Random,
    /// Each piece of 4 KiB, or not.
    Torn,
}

pub(crate) const MODES: [(&str, Mode); 5] = [
    ("none", Mode::None),
    ("all", Mode::All),
    ("prefix", Mode::Prefix),
    ("random", Mode::Random),
    ("torn", Mode::Torn),
];

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// A power failure: its moment, and the unflushed writes that the disk keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// The number of complete requests.
    pub(crate) position: u64,
    pub(crate) mode: Mode,
    pub(crate) seed: u64,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.position, self.mode.name(), self.seed)
    }
}

impl std::str::FromStr for Cut {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [position, mode, seed] = parts[..] else { bail!("a cut is POSITION:MODE:SEED, not {text}") };
        let Some((_, mode)) = MODES.iter().find(|(name, _)| *name == mode) else {
            bail!("{mode} is none of the modes none, all, prefix, random and torn");
        };
        Ok(Self { position: position.parse()?, mode: *mode, seed: seed.parse()? })
    }
}

/// Makes disks of one recording, in ascending order.
#[derive(Debug)]
pub(crate) struct Rebuilder<'a> {
    recording: &'a Recording,
    durable: PathBuf,
    file: File,
    applied: u64,
}

impl<'a> Rebuilder<'a> {
    pub(crate) fn new(recording: &'a Recording, scratch: &Path) -> Result<Self> {
        let durable = scratch.join("durable.img");
        copy_sparsely(&recording.base, &durable)?;
        let file = OpenOptions::new().write(true).open(&durable)?;
        Ok(Self { recording, durable, file, applied: 0 })
    }

    /// Writes the disk as `cut` leaves it; returns the number of unflushed writes.
    pub(crate) fn rebuild(&mut self, cut: Cut, image: &Path) -> Result<usize> {
        let log = &self.recording.log;
        let at = cut.position.min(log.len() as u64);
        let before = &log[..usize::try_from(at)?];
        let flushed = before
            .iter()
            .filter(|record| matches!(record.kind, Kind::Flush))
            .map(|flush| flush.submitted)
            .max()
            .unwrap_or(0);
        if flushed < self.applied {
            bail!("the cut {cut} is before the one that was made last");
        }
        for record in &log[usize::try_from(self.applied)?..usize::try_from(flushed)?] {
            apply(&self.file, record)?;
        }
        self.applied = flushed;
        copy_sparsely(&self.durable, image)?;
        let image = OpenOptions::new().write(true).open(image)?;
        let under_way =
            log[usize::try_from(at)?..].iter().take(UNDER_WAY).filter(|record| record.submitted <= at);
        let unflushed: Vec<&Record> = before[usize::try_from(flushed)?..]
            .iter()
            .chain(under_way)
            .filter(|record| !matches!(record.kind, Kind::Flush))
            .collect();
        keep_some(&image, &unflushed, cut)?;
        Ok(unflushed.len())
    }
}

/// The positions at which a power failure does most harm: those with many unflushed writes, and those right after a flush that
/// has not waited for a large write.
pub(crate) fn sore_positions(log: &[Record], from: u64, to: u64) -> (Vec<u64>, Vec<u64>) {
    let (mut flushed, mut unflushed, mut overtaken) = (0, Vec::new(), Vec::new());
    for (index, record) in log.iter().enumerate() {
        let position = index as u64 + 1;
        let is_flush = matches!(record.kind, Kind::Flush);
        if is_flush {
            flushed = flushed.max(record.submitted);
        }
        if !(from..=to).contains(&position) {
            continue;
        }
        unflushed.push((position - flushed, position));
        let is_under_way = |later: &&Record| {
            later.submitted < record.submitted
                && matches!(&later.kind, Kind::Write(data) if data.len() >= LARGE)
        };
        if is_flush && log[index..].iter().take(UNDER_WAY).any(|later| is_under_way(&later)) {
            overtaken.push(position);
        }
    }
    unflushed.sort_unstable();
    let fullest = unflushed.split_off(unflushed.len() - unflushed.len() / 10);
    (fullest.into_iter().map(|(_, position)| position).collect(), overtaken)
}

/// The disk never has more requests than this under way.
const UNDER_WAY: usize = 512;

const LARGE: usize = 64 * 1024;

fn keep_some(image: &File, unflushed: &[&Record], cut: Cut) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(cut.seed);
    let odds = rng.random_range(0.1..0.9);
    let prefix = rng.random_range(0..=unflushed.len());
    for (index, record) in unflushed.iter().enumerate() {
        match cut.mode {
            Mode::None => {}
            Mode::All => apply(image, record)?,
            Mode::Prefix if index < prefix => apply(image, record)?,
            Mode::Random if rng.random_bool(odds) => apply(image, record)?,
            Mode::Prefix | Mode::Random => {}
            Mode::Torn => match &record.kind {
                Kind::Write(data) => {
                    for (number, piece) in data.chunks(4096).enumerate() {
                        if rng.random_bool(odds) {
                            image.write_all_at(piece, record.offset + number as u64 * 4096)?;
                        }
                    }
                }
                _ => apply(image, record)?,
            },
        }
    }
    Ok(())
}

fn apply(image: &File, record: &Record) -> Result<()> {
    match &record.kind {
        Kind::Write(data) => image.write_all_at(data, record.offset)?,
        Kind::Zero(len) => zero(image, record.offset, *len)?,
        Kind::Flush => {}
    }
    Ok(())
}

pub(crate) fn copy_sparsely(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").args(["--sparse=always", "--"]).arg(from).arg(to).status()?;
    if !status.success() {
        bail!("{} cannot be copied to {}", from.display(), to.display());
    }
    Ok(())
}
