//! Recording, cutting the power at many points, and the report.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::check::check;
use super::device::FileSystem;
use super::record::{MAINTENANCE, VARIANTS, Variant, record};
use super::recording::{Cut, MODES, Mode, Rebuilder, Recording, sore_positions};
use crate::isolation::WORK;
use crate::look::Findings;
use crate::registry::Subject;

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) file_systems: Vec<String>,
    /// The number of power failures on each file system.
    pub(crate) points: usize,
    /// The number of recordings on each file system, each of another variant.
    pub(crate) recordings: usize,
    /// Whether a repair and a migration are recorded beside clients, instead of clients and collectors.
    pub(crate) maintenance: bool,
    pub(crate) seed: u64,
    /// Where to keep all recordings; `None` keeps only those with findings, in the directory for temporary files.
    pub(crate) keep: Option<PathBuf>,
}

/// The results on a file system.
#[derive(Debug, Default)]
struct Summary {
    points: usize,
    required: usize,
    unflushed: usize,
    resumed: usize,
    refused: usize,
    /// By kind: the number of findings, and the number of points with one.
    kinds: BTreeMap<&'static str, (usize, usize)>,
}

/// Records and checks; returns the number of violations.
pub(crate) fn run(subject: &Subject, options: &Options) -> Result<usize> {
    let file_systems: Vec<FileSystem> =
        options.file_systems.iter().map(|name| FileSystem::named(name)).collect::<Result<_>>()?;
    // One thread for each file system: images of one btrfs cannot be mounted at once, and a recording waits most of the time.
    let outcomes: Vec<Result<Summary>> = thread::scope(|scope| {
        let threads: Vec<_> = file_systems
            .into_iter()
            .map(|file_system| scope.spawn(move || run_file_system(file_system, subject, options)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked"))))
            .collect()
    });
    let mut violations = 0;
    for (name, outcome) in options.file_systems.iter().zip(outcomes) {
        let summary = outcome.with_context(|| format!("on {name}"))?;
        println!("{name}: {summary}");
        violations += summary.violations();
    }
    Ok(violations)
}

/// Checks a saved recording.
pub(crate) fn replay(subject: &Subject, directory: &Path, cuts: &[Cut], options: &Options) -> Result<usize> {
    let recording = Recording::load(directory)?;
    let scratch = Path::new(WORK).join("replay");
    fs::create_dir_all(&scratch)?;
    let mut cuts = if cuts.is_empty() {
        choose_cuts(&recording, options.points, &mut StdRng::seed_from_u64(options.seed))
    } else {
        cuts.to_vec()
    };
    cuts.sort_by_key(|cut| cut.position);
    let mut summary = Summary::default();
    check_cuts(subject, &recording, &cuts, &scratch, "replay", &mut summary)?;
    println!("{}: {summary}", recording.file_system);
    Ok(summary.violations())
}

fn run_file_system(file_system: FileSystem, subject: &Subject, options: &Options) -> Result<Summary> {
    let mut summary = Summary::default();
    let recordings = options.recordings.clamp(1, options.points.max(1));
    for number in 0..recordings {
        let variants: &[Variant] = if options.maintenance { &MAINTENANCE } else { &VARIANTS };
        let variant = variants[number % variants.len()];
        let seed = options.seed.wrapping_add(number as u64 * 1000);
        let scratch = Path::new(WORK).join(format!("{}-{number}", file_system.name));
        fs::create_dir_all(&scratch)?;
        let begun = Instant::now();
        let recording = record(file_system, subject, variant, seed, &scratch)
            .with_context(|| format!("recording {}", variant.name))?;
        println!(
            "{}: recorded {}: {} requests of the disk, {} of clients ({:.1} s)",
            file_system.name,
            variant.name,
            recording.log.len(),
            recording.ledger.events.len(),
            begun.elapsed().as_secs_f32()
        );
        let points = options.points / recordings + usize::from(number < options.points % recordings);
        let cuts = choose_cuts(&recording, points, &mut StdRng::seed_from_u64(seed));
        let before = summary.violations();
        let label = format!("{} {}", file_system.name, variant.name);
        check_cuts(subject, &recording, &cuts, &scratch, &label, &mut summary)?;
        let has_findings = summary.violations() > before;
        if options.keep.is_some() || has_findings {
            let kept = options
                .keep
                .clone()
                .unwrap_or_else(|| std::env::temp_dir().join(format!("power-failure-{}", options.seed)));
            let kept = kept.join(format!("{}-{number}", file_system.name));
            recording.keep(&kept).with_context(|| kept.display().to_string())?;
            println!("{}: the recording is kept in {}", file_system.name, kept.display());
        }
        fs::remove_dir_all(&scratch)?;
    }
    Ok(summary)
}

/// Many cuts come right after an answer; the others at the most harmful points, and anywhere.
fn choose_cuts(recording: &Recording, points: usize, rng: &mut StdRng) -> Vec<Cut> {
    let ledger = &recording.ledger;
    let first = ledger.events.iter().map(|event| event.before).min().unwrap_or(0);
    let answers: Vec<u64> =
        ledger.events.iter().filter(|event| event.is_acknowledged).map(|event| event.after).collect();
    let (fullest, overtaken) = sore_positions(&recording.log, first, ledger.end);
    let mut cuts: Vec<Cut> = (0..points)
        .map(|_| {
            let position = match rng.random_range(0..10) {
                0..4 => answers.choose(rng).copied(),
                4..6 => fullest.choose(rng).copied(),
                6..9 => overtaken.choose(rng).copied(),
                _ => None,
            };
            let position = position.unwrap_or_else(|| rng.random_range(first..=ledger.end.max(first)));
            let mode = MODES.choose(rng).map_or(Mode::None, |(_, mode)| *mode);
            Cut { position, mode, seed: rng.random() }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.position);
    cuts
}

fn check_cuts(
    subject: &Subject,
    recording: &Recording,
    cuts: &[Cut],
    scratch: &Path,
    label: &str,
    summary: &mut Summary,
) -> Result<()> {
    let file_system = FileSystem::named(recording.file_system.trim())?;
    let mut rebuilder = Rebuilder::new(recording, scratch)?;
    let image = scratch.join("cut.img");
    for cut in cuts {
        _ = fs::remove_file(&image);
        let unflushed = rebuilder.rebuild(*cut, &image)?;
        let findings = match file_system.mount(&image, &scratch.join("cut")) {
            Ok(mount) => {
                let root = mount.directory.join("registry");
                let findings = check(subject, &root, scratch, &recording.ledger, cut.position)
                    .with_context(|| format!("at the cut {cut}"))?;
                mount.unmount()?;
                findings
            }
            Err(error) => {
                let violations = vec![("the file system cannot be mounted", format!("{error:#}"))];
                Findings { violations, ..Findings::default() }
            }
        };
        summary.add(&findings, unflushed);
        for (kind, what) in &findings.violations {
            println!("{label}, cut {cut}: {kind}: {what}");
        }
    }
    Ok(())
}

impl Summary {
    fn violations(&self) -> usize {
        self.kinds.values().map(|(number, _)| number).sum()
    }

    fn add(&mut self, findings: &Findings, unflushed: usize) {
        self.points += 1;
        self.required += findings.required;
        self.unflushed += unflushed;
        self.resumed += findings.resumed;
        self.refused += findings.refused;
        let mut here = BTreeMap::new();
        for (kind, _) in &findings.violations {
            *here.entry(*kind).or_insert(0) += 1;
        }
        for (kind, number) in here {
            let (all, points) = self.kinds.entry(kind).or_default();
            *all += number;
            *points += 1;
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} points, {} objects that had to be there, {} unflushed writes, {} uploads resumed and {} refused",
            self.points, self.required, self.unflushed, self.resumed, self.refused
        )?;
        for (kind, (number, points)) in &self.kinds {
            write!(f, "\n  {kind}: {number} at {points} points")?;
        }
        if self.kinds.is_empty() { write!(f, "; no findings") } else { Ok(()) }
    }
}
