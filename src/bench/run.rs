//! The run: set up, measure in turn, clean up.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::benched_server::BenchedServer;
use crate::cold::evict;
use crate::content::TAIL;
use crate::error::{Error, Result};
use crate::material::Material;
use crate::measure::{Measurement, Sample};
use crate::options::{Kind, Options, Target};
use crate::report::{Comparison, Figures, Report, Row};
use crate::workload::Workload;

/// How long to run a work before its first measurement.
const WARMUP: Duration = Duration::from_millis(300);

/// From this share on, our threads limit the rate, not the server.
const BUSY: f64 = 0.95;

/// Runs all measurements of the options, reports to `progress`, and cleans up even on failure.
///
/// # Errors
///
/// If a request fails: a run never retries.
pub fn run(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    check(options)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut sides = Vec::new();
    for target in targets(options) {
        sides.push(BenchedServer::new(target, options)?);
    }
    let mut run = Run { options, runtime, sides, notes: Vec::new(), progress };
    let measured = run.measure_all();
    let cleaned = run.clean_up();
    let rows = measured?;
    cleaned?;
    Ok(Report {
        a: options.target.url.to_string(),
        b: options.versus.as_ref().map(|target| target.url.to_string()),
        large_bytes: options.large,
        small_bytes: options.small,
        rounds: options.rounds,
        seconds: options.duration.as_secs_f64(),
        threads: options.threads,
        rows,
        notes: run.notes,
    })
}

fn targets(options: &Options) -> impl Iterator<Item = &Target> {
    std::iter::once(&options.target).chain(&options.versus)
}

fn check(options: &Options) -> Result<()> {
    let wrong = |text: String| Err(Error::Options(text));
    if options.large < TAIL || options.small < TAIL {
        return wrong(format!("a blob has at least {TAIL} bytes, which tell it from others"));
    }
    if options.clients.contains(&0)
        || options.clients.is_empty()
        || options.rounds == 0
        || options.threads == 0
    {
        return wrong("clients, rounds and threads begin at 1".to_owned());
    }
    let files = targets(options).any(|target| target.kind != Kind::Registry);
    match options.works.iter().find(|work| !work.suits_files()) {
        Some(work) if files => wrong(format!("{work} cannot be asked of a server of plain files")),
        _ if options.works.is_empty() => wrong("there is no work to do".to_owned()),
        _ => Ok(()),
    }
}

struct Run<'a> {
    options: &'a Options,
    runtime: Runtime,
    sides: Vec<BenchedServer>,
    notes: Vec<String>,
    progress: &'a mut dyn FnMut(&str),
}

impl Run<'_> {
    fn measure_all(&mut self) -> Result<Vec<Row>> {
        (self.progress)("making content");
        let material = Material::new(self.options);
        for side in &mut self.sides {
            (self.progress)(&format!("setting up {}", side.endpoint.host));
            self.runtime.block_on(side.prepare(&material))?;
        }
        let mut rows = Vec::new();
        for work in &self.options.works {
            for clients in &self.options.clients {
                rows.push(self.row(*work, *clients, &material)?);
            }
        }
        Ok(rows)
    }

    fn row(&mut self, work: Workload, clients: usize, material: &Material) -> Result<Row> {
        let mut rounds = [Vec::new(), Vec::new()];
        if !work.pushes() && self.sides.iter().all(|side| side.target.cold.is_none()) {
            for side in 0..self.sides.len() {
                self.sample(side, work, clients, material, WARMUP)?;
            }
        }
        for round in 1..=self.options.rounds {
            for (side, rounds) in rounds.iter_mut().enumerate().take(self.sides.len()) {
                let host = &self.sides[side].endpoint.host;
                (self.progress)(&format!("{work}, clients: {clients}, round {round}: {host}"));
                let sample = self.sample(side, work, clients, material, self.options.duration)?;
                rounds.push(self.judge(&sample, side, work, clients));
            }
        }
        let [rounds_a, rounds_b] = rounds;
        let b = (self.sides.len() > 1).then(|| Comparison {
            figures: Figures::median(&rounds_b),
            a_by_b: Figures::ratios(&rounds_a, &rounds_b),
            rounds_b,
        });
        Ok(Row { work, clients, a: Figures::median(&rounds_a), b, rounds_a })
    }

    fn sample(
        &mut self,
        side: usize,
        work: Workload,
        clients: usize,
        material: &Material,
        duration: Duration,
    ) -> Result<Sample> {
        let side = &mut self.sides[side];
        if let (true, Some(directory)) = (work.reads_blobs(), &side.target.cold) {
            evict(directory)?;
        }
        let measurement = Measurement {
            endpoint: side.endpoint.clone(),
            authorization: self.runtime.block_on(side.authorization())?,
            process: side.process,
            job: Arc::new(side.job(work, material)),
            clients,
            threads: self.options.threads,
            duration,
            push_volume: self.options.push_volume,
        };
        let (mut sample, outcome) = measurement.run(&self.runtime)?;
        side.remember(std::mem::take(&mut sample.left));
        outcome.map(|()| sample)
    }

    /// Makes figures of a sample, and notes reasons to doubt them.
    fn judge(
        &mut self,
        sample: &Sample,
        side: usize,
        work: Workload,
        clients: usize,
    ) -> Figures<Option<f64>> {
        let threads = self.options.threads.clamp(1, clients);
        let figures = Figures::of(sample, threads);
        let host = self.sides[side].endpoint.host.clone();
        if figures.client_load.is_some_and(|load| load > BUSY) {
            self.note(format!(
                "{work} with {clients}: the clients used all of their {threads} thread(s), so the rates are theirs; CPU figures hold"
            ));
        }
        if sample.reconnects > 0 {
            self.note(format!(
                "{host} closed connections in use; each was opened again within an operation's time"
            ));
        }
        if sample.peak.is_some_and(|(_, alone)| !alone) {
            self.note(format!("the peak memory of {host} is since its start: resetting it is not allowed"));
        }
        if sample.operations == 0 {
            self.note(format!("{work} with {clients}: a round without an operation"));
        }
        figures
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn clean_up(&mut self) -> Result<()> {
        if self.options.keep {
            self.note(format!("what was pushed stays in {}*, as asked", self.options.repository));
            return Ok(());
        }
        let mut outcome = Ok(());
        for side in 0..self.sides.len() {
            (self.progress)(&format!("cleaning up {}", self.sides[side].endpoint.host));
            match self.runtime.block_on(self.sides[side].clean_up()) {
                Ok(Some(stays)) => self.note(stays),
                Ok(None) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}
