//! Records the writes of a registry to its disk while clients use it.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use rustix::fs::Advice;

use super::device::FileSystem;
use super::disk::{Disk, FILE};
use super::maintenance::Background;
use super::recording::{Recording, copy_sparsely};
use super::workload::{Worker, World};
use crate::registry::{Setup, Subject};

/// The kind of a recording. One client reveals missing syncs: with several, each one's sync covers the others' data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    workers: u64,
    grace: Option<Duration>,
    duration: Duration,
    beside: Background,
}

const GRACE: Option<Duration> = Some(Duration::from_secs(3));

pub(crate) const VARIANTS: [Variant; 4] = [
    Variant {
        name: "one client",
        workers: 1,
        grace: None,
        duration: Duration::from_secs(5),
        beside: Background::Nothing,
    },
    Variant {
        name: "three clients and a collector",
        workers: 3,
        grace: GRACE,
        duration: Duration::from_secs(24),
        beside: Background::Nothing,
    },
    Variant {
        name: "three clients",
        workers: 3,
        grace: None,
        duration: Duration::from_secs(6),
        beside: Background::Nothing,
    },
    Variant {
        name: "one client and a collector",
        workers: 1,
        grace: GRACE,
        duration: Duration::from_secs(24),
        beside: Background::Nothing,
    },
];

/// Maintenance beside clients.
pub(crate) const MAINTENANCE: [Variant; 2] = [
    Variant {
        name: "two clients and a repair",
        workers: 2,
        grace: None,
        duration: Duration::from_secs(8),
        beside: Background::Repair,
    },
    Variant {
        name: "two clients and a migration",
        workers: 2,
        grace: None,
        duration: Duration::from_secs(8),
        beside: Background::Migration,
    },
];

/// Makes a new file system below `scratch` and records a registry on it.
pub(crate) fn record(
    file_system: FileSystem,
    subject: &Subject,
    variant: Variant,
    seed: u64,
    scratch: &Path,
) -> Result<Recording> {
    let (base, live) = (scratch.join("base.img"), scratch.join("live.img"));
    file_system.make(&base)?;
    copy_sparsely(&base, &live)?;
    let below = scratch.join("disk");
    fs::create_dir_all(&below)?;
    let disk = Disk::mount(OpenOptions::new().read(true).write(true).open(&live)?, &below)?;
    let mount = file_system.mount(&below.join(FILE), &scratch.join("mnt"))?;
    mount.use_direct_io()?;

    let root = mount.directory.join("registry");
    // A separate process, like everything that may wait for the recording disk, which this process serves.
    let made = Command::new("mkdir").arg(&root).status()?;
    anyhow::ensure!(made.success(), "{} cannot be made", root.display());
    let registry =
        subject.start(&root, scratch, Setup { grace: variant.grace, mutated: true, is_read_only: false })?;
    let write_out = WriteOut::start(&root)?;
    let world = World::new(registry.client.clone(), disk.position(), variant.grace);
    if variant.beside != Background::Nothing {
        world.push_victims(seed)?;
    }
    let deadline = Instant::now() + variant.duration;
    let beside = thread::scope(|scope| {
        for number in 0..variant.workers {
            let mut worker = Worker::new(&world, seed.wrapping_mul(31).wrapping_add(number));
            scope.spawn(move || worker.run(deadline));
        }
        variant.beside.run(&world, subject, &root, scratch, deadline)
    });
    beside.context(variant.name)?;
    let ledger = world.into_ledger(variant.beside == Background::Migration);
    drop(write_out);
    registry.kill()?;
    mount.unmount()?;
    let log = disk.unmount()?;
    fs::remove_file(&live)?;
    Ok(Recording { base, file_system: file_system.name.to_owned(), log, ledger })
}

/// A process that writes uploads out early, as the kernel does after half a minute or when memory is short.
struct WriteOut(Child);

impl WriteOut {
    fn start(root: &Path) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("write-out")
            .arg(root)
            .stdin(Stdio::null())
            .spawn()
            .context("the process that writes out cannot be started")?;
        Ok(Self(child))
    }
}

impl Drop for WriteOut {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts to write out some of the files of uploads below `root`, again and again.
pub(crate) fn write_out(root: &Path) -> ! {
    let mut rng = rand::rng();
    loop {
        let mut todo = vec![root.to_owned()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(path);
                } else if is_of_upload(&path) && rng.random_bool(0.5) {
                    start_writing(&path);
                }
            }
        }
        thread::sleep(Duration::from_millis(25));
    }
}

/// Whether a file is staged data, or the running hash beside it.
fn is_of_upload(path: &Path) -> bool {
    path.components().any(|component| component.as_os_str() == "_uploads")
}

fn start_writing(path: &Path) {
    let Ok(file) = fs::File::open(path) else { return };
    // On this advice the kernel starts to write dirty pages, and waits for none of them.
    _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
}
