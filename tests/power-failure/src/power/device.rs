//! File systems on loop devices.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Large enough for the smallest file system that `mkfs.xfs` makes; the file is sparse.
const DISK_BYTES: u64 = 640 << 20;

/// A file system of the kernel, with its commands to make and mount it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSystem {
    pub(crate) name: &'static str,
    kind: &'static str,
    make: &'static [&'static str],
    options: &'static str,
}

/// `mkfs` discards and postpones nothing, so that the recording begins with the file system's own writes.
pub(crate) const FILE_SYSTEMS: [FileSystem; 4] = [
    FileSystem {
        name: "ext4",
        kind: "ext4",
        make: &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
        options: "loop",
    },
    FileSystem {
        name: "xfs",
        kind: "xfs",
        make: &["mkfs.xfs", "-q", "-f", "-K"],
        // An image and its copies have the same identity.
        options: "loop,nouuid",
    },
    FileSystem { name: "btrfs", kind: "btrfs", make: &["mkfs.btrfs", "-q", "-f", "-K"], options: "loop" },
    FileSystem {
        name: "ext4-writeback",
        kind: "ext4",
        make: &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
        options: "loop,data=writeback",
    },
];

impl FileSystem {
    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = FILE_SYSTEMS.iter().find(|file_system| file_system.name == name).copied();
        found.with_context(|| format!("{name} is none of the file systems ext4, xfs, btrfs, ext4-writeback"))
    }

    /// Makes an empty file system in a new file.
    pub(crate) fn make(self, image: &Path) -> Result<()> {
        File::create(image)?.set_len(DISK_BYTES)?;
        run(Command::new(self.make[0]).args(&self.make[1..]).arg(image))
    }

    /// Mounts the file `image` at `directory`.
    pub(crate) fn mount(self, image: &Path, directory: &Path) -> Result<Mount> {
        fs::create_dir_all(directory)?;
        if self.kind == "btrfs" {
            // btrfs would mistake an image for another with the same identity that it has seen.
            run(Command::new("btrfs").args(["device", "scan", "--forget"]))?;
        }
        run(Command::new("mount").args(["-t", self.kind, "-o", self.options]).arg(image).arg(directory))?;
        Ok(Mount { directory: directory.to_owned(), is_mounted: true })
    }
}

/// A mounted file system; dropping it also removes its loop device.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) directory: PathBuf,
    is_mounted: bool,
}

impl Mount {
    /// Makes the loop device bypass the page cache, so that every write reaches the file below at once.
    pub(crate) fn use_direct_io(&self) -> Result<()> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let directory = self.directory.display().to_string();
        let device = mounts
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, rest)| rest.split(' ').next() == Some(&directory))
            .map(|(device, _)| device.to_owned())
            .with_context(|| format!("nothing is mounted at {directory}"))?;
        run(Command::new("losetup").arg("--direct-io=on").arg(&device))?;
        let name = device.trim_start_matches("/dev/");
        let dio = fs::read_to_string(format!("/sys/block/{name}/loop/dio"))?;
        if dio.trim() != "1" {
            bail!("{device} does no direct I/O");
        }
        Ok(())
    }

    pub(crate) fn unmount(mut self) -> Result<()> {
        self.is_mounted = false;
        unmount(&self.directory)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted {
            _ = unmount(&self.directory);
        }
    }
}

fn unmount(directory: &Path) -> Result<()> {
    // A killed process may hold files for a moment longer.
    let mut last = Ok(());
    for _ in 0..100 {
        last = run(Command::new("umount").arg(directory));
        if last.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    last
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} is missing"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
