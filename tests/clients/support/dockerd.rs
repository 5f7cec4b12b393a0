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

/// Whose network an engine and its containers have.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Network {
    /// The machine's; a sandbox may not have a bridge there.
    Host,
    /// Its own, with a bridge.
    Own,
}

impl Dockerd {
    /// Starts one, which takes a few seconds.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_by(tool("dockerd"), Network::Host)
    }

    /// Starts one that finds the `hosts` and the `docker` of a folder where others find `/etc/hosts` and `/etc/docker`.
    #[track_caller]
    pub(crate) fn start_with_etc(etc: &Path) -> Self {
        const SCRIPT: &str = "mkdir -p /etc/docker && mount --bind \"$0/hosts\" /etc/hosts && \
                              mount --bind \"$0/docker\" /etc/docker && exec dockerd \"$@\"";
        let mut command = tool("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT]).arg(etc);
        Self::start_by(command, Network::Host)
    }

    /// Starts one as [`start_with_etc`](Self::start_with_etc), in a network of its own, where every port is free and containers
    /// have a bridge; `empty` are directories in whose place it sees empty ones.
    #[track_caller]
    pub(crate) fn start_apart(etc: &Path, empty: &[&str]) -> Self {
        const SCRIPT: &str = "etc=$1; empty=$2; shift 2; set -e; ip link set lo up; mkdir -p /etc/docker; \
                              mount --bind \"$etc/hosts\" /etc/hosts; mount --bind \"$etc/docker\" /etc/docker; \
                              for place in $empty; do mount -t tmpfs tmpfs \"$place\"; done; exec dockerd \"$@\"";
        let mut command = tool("unshare");
        command.args(["--mount", "--net", "sh", "-c", SCRIPT, "sh"]).arg(etc).arg(empty.join(" "));
        Self::start_by(command, Network::Own)
    }

    #[track_caller]
    fn start_by(mut command: Command, network: Network) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        command.args([
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
            "--storage-driver=vfs",
        ]);
        if network == Network::Host {
            command.arg("--bridge=none");
        }
        let process = Process::start(&mut command);
        process.wait_for(|line| line.contains("API listen on").then_some(()));
        Self { process, directory }
    }

    /// Reads `/etc/docker/daemon.json` again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.process.signal("HUP");
        self.process.wait_for(|line| line.contains("Reloaded configuration").then_some(()));
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }

    /// A program that sees the network and the mounts that the engine has.
    pub(crate) fn command_inside(&self, program: &str) -> Command {
        let mut command = tool("nsenter");
        command.arg(format!("--target={}", self.process.pid())).args(["--net", "--mount", program]);
        command
    }

    /// A command of its client, whose configuration (logins) is private too.
    pub(crate) fn docker(&self) -> Command {
        let mut command = tool("docker");
        command.env("DOCKER_CONFIG", self.directory.path().join("client"));
        command.env("DOCKER_BUILDKIT", "0");
        command.arg("--host").arg(self.host());
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
