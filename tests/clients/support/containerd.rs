//! A private containerd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Process, tool};

/// A running containerd.
pub(crate) struct Containerd {
    socket: PathBuf,
    _process: Process,
}

impl Containerd {
    /// Starts it with its files in a directory, which it creates.
    #[track_caller]
    pub(crate) fn start(directory: &Path) -> Self {
        fs::create_dir(directory).unwrap();
        let socket = directory.join("socket");
        let mut command = tool("containerd");
        command.arg("--address").arg(&socket);
        command.arg("--root").arg(directory.join("root")).arg("--state").arg(directory.join("state"));
        let process = Process::start(&mut command);
        process.wait_for(|line| line.contains("containerd successfully booted").then_some(()));
        Self { socket, _process: process }
    }

    /// A command of its client.
    pub(crate) fn ctr(&self) -> Command {
        let mut command = tool("ctr");
        command.arg("--address").arg(&self.socket);
        command
    }
}
