//! A private Docker engine.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Process, fail, run, tool};

/// A running engine with nothing in it.
pub(crate) struct Dockerd {
    process: Process,
    /// Behind the process, so that it goes after it: the engine mounts its data over themselves, and takes the mount away at
    /// its end by what it finds noted here.
    directory: TempDir,
}

impl Dockerd {
    /// Starts one, which takes a few seconds.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_by(tool("dockerd"))
    }

    /// Starts one that finds the `hosts` and the `docker` of a folder where others find `/etc/hosts` and `/etc/docker`.
    #[track_caller]
    pub(crate) fn start_with_etc(etc: &Path) -> Self {
        const SCRIPT: &str = "mkdir -p /etc/docker && mount --bind \"$0/hosts\" /etc/hosts && \
                              mount --bind \"$0/docker\" /etc/docker && exec dockerd \"$@\"";
        let mut command = tool("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT]).arg(etc);
        Self::start_by(command)
    }

    #[track_caller]
    fn start_by(mut command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let process = Process::start(command.args([
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
        Self { process, directory }
    }

    /// Reads `/etc/docker/daemon.json` again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.process.signal("HUP");
        self.process.wait_for(|line| line.contains("Reloaded configuration").then_some(()));
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

    /// Runs a command of its client that must not succeed, and gives what it says.
    #[track_caller]
    pub(crate) fn fail(&self, args: &[&str]) -> String {
        fail(self.docker().args(args))
    }

    /// Pushes an image that is here, forgets it, and pulls it again: it must be the same.
    #[track_caller]
    pub(crate) fn push_and_pull(&self, image: &str) {
        let id = || self.run(&["image", "inspect", "--format", "{{.Id}}", image]);
        let before = id();
        self.run(&["push", image]);
        self.run(&["rmi", image]);
        self.run(&["pull", image]);
        assert_eq!(id(), before);
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
