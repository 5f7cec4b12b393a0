//! Running scenarios under faults, and the checks after each.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::actor::{Actor, Expected, verify};
use super::files::{Files, ROOT};
use super::plan::{Counts, Fault, Plan};
use super::scenario::{Act, SCENARIOS, World};
use super::service::Mounted;
use crate::isolation::WORK;
use crate::look::Findings;
use crate::registry::{Setup, Subject, is_of_a_run};

/// How many power failures follow on a sync that was left out, each of which keeps other things: some lies show only when one
/// of two names comes back.
const LUCKS_OF_LIES: usize = 32;

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many cases to run, chosen by the seed; `None` for all.
    pub(crate) cases: Option<usize>,
    /// Of all cases only every N-th, beginning with the I-th from 0: `(I, N)`.
    pub(crate) share: Option<(usize, usize)>,
    /// The cases to run instead of chosen ones.
    pub(crate) only: Vec<Case>,
    pub(crate) scenarios: Vec<String>,
    /// Leave out each sync, and report whether a check has noticed.
    pub(crate) lies: bool,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
}

/// A scenario under a fault.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    scenario: String,
    plan: Plan,
    /// Selects what a power failure keeps.
    seed: u64,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.scenario, self.plan, self.seed)
    }
}

impl std::str::FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let [scenario, plan, seed] = parts[..] else { bail!("a case is SCENARIO/FAULT/SEED, not {text}") };
        Ok(Self { scenario: scenario.to_owned(), plan: plan.parse()?, seed: seed.parse()? })
    }
}

/// Runs cases; returns the number of violations.
pub(crate) fn run(subject: &Subject, options: &Options) -> Result<usize> {
    let bench = Bench::new(subject, &Path::new(WORK).join("faults"))?;
    let cases = match &options.only[..] {
        [] => choose(&bench, options)?,
        only => only.to_vec(),
    };
    let queue = Mutex::new(cases.iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let kinds: Mutex<BTreeMap<&str, (usize, usize)>> = Mutex::default();
    let outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs.max(1))
            .map(|number| {
                let (bench, next, kinds) = (&bench, &next, &kinds);
                scope.spawn(move || {
                    let desk = bench.desk(number)?;
                    while let Some(case) = next() {
                        let findings = desk.run(case).with_context(|| case.to_string())?;
                        report(case, &findings, kinds, options.lies);
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked"))))
            .collect()
    });
    outcomes.into_iter().collect::<Result<Vec<()>>>()?;
    let kinds = kinds.into_inner().map_err(|_| anyhow!("a thread has panicked"))?;
    for (kind, (number, cases)) in &kinds {
        println!("  {kind}: {number} in {cases} cases");
    }
    let missed = bench.missed.load(Ordering::Relaxed);
    println!("faults: {} cases, of which {missed} met no fault", cases.len());
    let (looks, spared) = (bench.looks.load(Ordering::Relaxed), bench.spared.load(Ordering::Relaxed));
    println!("faults: {looks} looks; {spared} more were at files that had been found sound");
    if kinds.is_empty() {
        println!("faults: no findings");
    }
    Ok(kinds.values().map(|(number, _)| number).sum())
}

fn report(
    case: &Case,
    findings: &Findings,
    kinds: &Mutex<BTreeMap<&'static str, (usize, usize)>>,
    lies: bool,
) {
    let mut here = BTreeMap::new();
    if lies {
        let noticed = if findings.violations.is_empty() { "not noticed" } else { "noticed" };
        println!("{case}: {noticed}: {}", findings.left_out.as_deref().unwrap_or("not reached"));
    }
    for (kind, what) in &findings.violations {
        if !lies {
            println!("{case}: {kind}: {what}");
        }
        *here.entry(*kind).or_insert(0) += 1;
    }
    let Ok(mut kinds) = kinds.lock() else { return };
    for (kind, number) in here {
        let (all, cases) = kinds.entry(kind).or_default();
        *all += number;
        *cases += 1;
    }
}

/// Counts the operations of each scenario, and derives the cases.
fn choose(bench: &Bench<'_>, options: &Options) -> Result<Vec<Case>> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let desk = bench.desk(usize::MAX)?;
    let mut cases = Vec::new();
    for (name, act) in SCENARIOS {
        if !options.scenarios.is_empty() && !options.scenarios.iter().any(|scenario| scenario == name) {
            continue;
        }
        let counts = desk.count(act).with_context(|| format!("{name} without any fault"))?;
        let plans = if options.lies { Plan::lies(&counts) } else { Plan::all(&counts) }.into_iter();
        cases.extend(plans.map(|plan| Case { scenario: name.to_owned(), plan, seed: rng.random() }));
    }
    if let Some((share, of)) = options.share {
        let all = cases.len();
        cases = cases.into_iter().skip(share).step_by(of).collect();
        println!("faults: share {} of {of}, {} of {all} cases", share + 1, cases.len());
    }
    if let Some(most) = options.cases {
        let all = cases.len();
        cases.shuffle(&mut rng);
        // A registry most easily mistakes the second attempt after a failed sync for a success.
        cases.sort_by_key(|case| !case.plan.is_failed_sync());
        cases.truncate(most);
        println!("faults: {} of {all} cases", cases.len());
    }
    Ok(cases)
}

/// The common start of all cases.
struct Bench<'a> {
    subject: &'a Subject,
    scratch: PathBuf,
    files: Files,
    world: World,
    /// The number of cases whose operation did not happen: how many writes a body takes depends on how it arrives.
    missed: AtomicUsize,
    /// What was looked at without a finding: the fingerprint of the files, what is expected of them, and what was done.
    sound: Mutex<HashSet<(u64, Expected, &'static str)>>,
    /// How many looks were spared by that, and how many were made.
    spared: AtomicUsize,
    looks: AtomicUsize,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a Subject, scratch: &Path) -> Result<Self> {
        let directory = scratch.join("build");
        fs::create_dir_all(&directory)?;
        let mounted = Mounted::new(empty()?, &directory)?;
        let registry = subject.start(&root(&mounted), scratch, Setup::default())?;
        let world = World::build(&registry.client)?;
        registry.kill()?;
        let mut files = mounted.files();
        files.remount(); // All of it is on the disk.
        Ok(Self {
            subject,
            scratch: scratch.to_owned(),
            files,
            world,
            missed: AtomicUsize::new(0),
            sound: Mutex::default(),
            spared: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
        })
    }

    /// Carries out `check` unless the same files were found sound by it already: most cases end in one of few states.
    fn once(
        &self,
        files: Files,
        expected: &Expected,
        what: &'static str,
        findings: &mut Findings,
        check: impl FnOnce(Files, &mut Findings) -> Result<Files>,
    ) -> Result<Files> {
        let state = (files.fingerprint(), expected.clone(), what);
        let known = self.sound.lock().map_err(|_| anyhow!("a thread has panicked"))?.contains(&state);
        if known {
            self.spared.fetch_add(1, Ordering::Relaxed);
            return Ok(files);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        let before = findings.violations.len();
        let files = check(files, findings)?;
        if findings.violations.len() == before {
            self.sound.lock().map_err(|_| anyhow!("a thread has panicked"))?.insert(state);
        }
        Ok(files)
    }

    fn desk(&self, number: usize) -> Result<WorkDirectories<'_>> {
        let scratch = self.scratch.join(format!("desk-{number}"));
        let directory = scratch.join("mnt");
        fs::create_dir_all(&directory)?;
        Ok(WorkDirectories { bench: self, scratch, directory })
    }
}

fn empty() -> Result<Files> {
    let mut files = Files::new();
    let made = files.make(ROOT, std::ffi::OsStr::new("registry"), true, 0o755);
    made.map_err(|errno| anyhow!("{errno:?}"))?;
    files.remount();
    Ok(files)
}

/// The registry's directory. This process serves it, so it must not read from it.
fn root(mounted: &Mounted) -> PathBuf {
    mounted.directory.join("registry")
}

/// The working directories of one thread.
struct WorkDirectories<'a> {
    bench: &'a Bench<'a>,
    scratch: PathBuf,
    directory: PathBuf,
}

impl WorkDirectories<'_> {
    fn mount(&self, mut files: Files) -> Result<Mounted> {
        expire_lease(&mut files);
        Mounted::new(files, &self.directory)
    }

    fn count(&self, act: Act) -> Result<Counts> {
        let mounted = self.mount(self.bench.files.clone())?;
        let mut expected = self.bench.world.expected.clone();
        self.act(&mounted, act, None, &mut expected)?.map_err(|text| anyhow!(text))?;
        let counts = mounted.state().faults.counts();
        Ok(counts)
    }

    /// Carries out the action, under a fault if there is one; the inner error is a refusal.
    fn act(
        &self,
        mounted: &Mounted,
        act: Act,
        plan: Option<Plan>,
        expected: &mut Expected,
    ) -> Result<Result<(), String>> {
        let (subject, world) = (self.bench.subject, &self.bench.world);
        match act {
            Act::Client(act) => {
                let registry = subject.start(&root(mounted), &self.scratch, Setup::default())?;
                mounted.state().faults.arm(plan);
                let mut actor = Actor { client: &registry.client, library: &world.library, expected };
                let outcome = act(world, &mut actor).map_err(|refused| refused.0);
                let counts = mounted.state().faults.counts();
                mounted.state().faults.lift(counts);
                registry.kill()?;
                Ok(outcome)
            }
            Act::Collect => {
                mounted.state().faults.arm(plan);
                let (code, output) = subject.collect(&root(mounted), &self.scratch, false)?;
                *expected = world.without_garbage(expected);
                Ok(if code == 0 { Ok(()) } else { Err(format!("code {code}: {output}")) })
            }
        }
    }

    fn run(&self, case: &Case) -> Result<Findings> {
        let (_, act) = SCENARIOS
            .into_iter()
            .find(|(name, _)| *name == case.scenario)
            .with_context(|| format!("{} is no scenario", case.scenario))?;
        let world = &self.bench.world;
        let mut findings = Findings::default();
        let mut expected = world.expected.clone();
        let mounted = self.mount(self.bench.files.clone())?;
        let outcome = self.act(&mounted, act, Some(case.plan), &mut expected)?;
        self.bench.missed.fetch_add(usize::from(!mounted.state().faults.has_struck()), Ordering::Relaxed);
        findings.left_out = mounted.state().left_out.take();
        let left = mounted.files();
        drop(mounted);

        let uncertain = expected.after_power_failure(&world.expected);
        let mut cut = left.clone();
        cut.cut_power(None);
        self.look(cut, &uncertain, "after a power failure", &mut findings)?;
        let mut luck = StdRng::seed_from_u64(case.seed);
        for _ in 0..if case.plan.fault == Fault::Lie { LUCKS_OF_LIES } else { 1 } {
            let mut lucky = left.clone();
            lucky.cut_power(Some(&mut luck));
            self.look(lucky, &uncertain, "after a power failure that kept some", &mut findings)?;
        }

        let mut again = left;
        again.remount();
        let mut files = self.look(again, &expected, "after a restart", &mut findings)?;
        // Without the fault every action succeeds, even a refused one.
        if outcome.is_err() {
            let mounted = self.mount(files)?;
            if let Err(text) = self.act(&mounted, act, None, &mut expected)? {
                findings.add("does not work without the fault", text);
            }
            files = mounted.files();
            drop(mounted);
            let mut cut = files.clone();
            cut.cut_power(None);
            let uncertain = expected.after_power_failure(&world.expected);
            self.look(cut, &uncertain, "done again, after a power failure", &mut findings)?;
            files.remount();
        }
        self.collect(files, &expected, &mut findings)?;
        Ok(findings)
    }

    /// Collects garbage in `files`, starts a registry over them and compares; returns the files afterwards.
    fn look(&self, files: Files, expected: &Expected, when: &str, findings: &mut Findings) -> Result<Files> {
        let check = |files, findings: &mut Findings| self.look_anew(files, expected, when, findings);
        self.bench.once(files, expected, "look", findings, check)
    }

    fn look_anew(
        &self,
        files: Files,
        expected: &Expected,
        when: &str,
        findings: &mut Findings,
    ) -> Result<Files> {
        let mounted = self.mount(files)?;
        let before = findings.violations.len();
        let (code, output) = self.bench.subject.collect(&root(&mounted), &self.scratch, true)?;
        if code != 0 {
            findings.add("garbage-collect --dry-run fails", format!("code {code}: {output}"));
        }
        match self.bench.subject.start(&root(&mounted), &self.scratch, Setup::default()) {
            Ok(registry) => {
                verify(&registry.client, &self.bench.world.library, expected, findings);
                registry.kill()?;
            }
            Err(error) => findings.add("the registry does not start", format!("{error:#}")),
        }
        for (_, what) in &mut findings.violations[before..] {
            *what = format!("{when}: {what}");
        }
        Ok(mounted.files())
    }

    /// A collection reports no damage, and deletes nothing that a tag reaches.
    fn collect(&self, files: Files, expected: &Expected, findings: &mut Findings) -> Result<()> {
        let check = |files, findings: &mut Findings| {
            let mounted = self.mount(files)?;
            let (code, output) = self.bench.subject.collect(&root(&mounted), &self.scratch, false)?;
            if code != 0 {
                findings.add("garbage-collect fails", format!("code {code}: {output}"));
            }
            let files = mounted.files();
            drop(mounted);
            self.look(files, &self.bench.world.without_garbage(expected), "after a collection", findings)
        };
        self.bench.once(files, expected, "collection", findings, check).map(drop)
    }
}

/// A failed collector counts as alive for a while, and its pending deletions stay valid; here that time has passed.
fn expire_lease(files: &mut Files) {
    files.forget("registry/docker/registry/sampan/gc", |name| name.to_str().is_some_and(is_of_a_run));
}
