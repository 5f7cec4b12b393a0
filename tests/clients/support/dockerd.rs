//! A private Docker engine.

use std::process::Command;

use tempfile::TempDir;

use super::{Process, run, tool};

/// A running engine with nothing in it.
pub(crate) struct Dockerd {
    directory: TempDir,
    _process: Process,
}

impl Dockerd {
    /// Starts one, which takes a few seconds.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let process = Process::start(tool("dockerd").args([
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
            "--pidfile",
            &path("pid"),
            "--host",
            &format!("unix://{}", path("socket")),
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            "--storage-driver=vfs",
        ]));
        process.wait_for(|line| line.contains("API listen on").then_some(()));
        Self { directory, _process: process }
    }

    /// A command of its client, whose configuration (logins) is private too.
    pub(crate) fn docker(&self) -> Command {
        let mut command = tool("docker");
        command.env("DOCKER_CONFIG", self.directory.path().join("client"));
        command.env("DOCKER_BUILDKIT", "0");
        command.arg("--host").arg(format!("unix://{}", self.directory.path().join("socket").display()));
        command
    }

    /// Runs a command of its client.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> String {
        run(self.docker().args(args)).trim().to_owned()
    }

    /// Makes an image with one layer for each of `contents`.
    #[track_caller]
    pub(crate) fn build(&self, name: &str, contents: &[&[u8]]) {
        let context = tempfile::tempdir().unwrap();
        let mut dockerfile = "FROM scratch\n".to_owned();
        for (index, content) in contents.iter().enumerate() {
            std::fs::write(context.path().join(index.to_string()), content).unwrap();
            dockerfile.push_str(&format!("COPY {index} /files/{index}\n"));
        }
        std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        self.run(&["build", "--quiet", "--tag", name, context.path().to_str().unwrap()]);
    }
}
