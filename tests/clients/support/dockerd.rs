//! A private Docker engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Process, fail, run, tool};

/// A running engine without any images.
pub(crate) struct Dockerd {
    process: Process,
    /// Dropped after the process and before the directory, which could not be removed.
    _network: NetworkOfContainers,
    /// Declared after the process, so that it is dropped later: the engine mounts its data over themselves, and at its end
    /// unmounts what its notes here list.
    directory: TempDir,
}

/// The file that an engine mounts a network namespace on for containers in the machine's network, and leaves mounted.
struct NetworkOfContainers(PathBuf);

impl Drop for NetworkOfContainers {
    fn drop(&mut self) {
        if self.0.exists() {
            let _ = Command::new("umount").arg("--quiet").arg(&self.0).stderr(Stdio::null()).status();
        }
    }
}

/// The network of an engine and its containers.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Network {
    /// The machine's network; a sandbox may not have a bridge there.
    Host,
    /// Its own network, with a bridge.
    Own,
}

impl Dockerd {
    /// Starts an engine, which takes a few seconds.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_by(tool("dockerd"), Network::Host)
    }

    /// Starts an engine that uses the `hosts` and the `docker` of a folder as `/etc/hosts` and `/etc/docker`.
    #[track_caller]
    pub(crate) fn start_with_etc(etc: &Path) -> Self {
        Self::start_by(Self::with_etc(etc), Network::Host)
    }

    fn with_etc(etc: &Path) -> Command {
        const SCRIPT: &str = "mkdir -p /etc/docker && mount --bind \"$0/hosts\" /etc/hosts && \
                              mount --bind \"$0/docker\" /etc/docker && exec dockerd \"$@\"";
        let mut command = tool("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT]).arg(etc);
        command
    }

    /// The same with an authority in place of the system's.
    #[track_caller]
    pub(crate) fn start_with_etc_and_authority(etc: &Path, authority: &Path) -> Self {
        let mut command = Self::with_etc(etc);
        command.env("SSL_CERT_FILE", authority);
        Self::start_by(command, Network::Host)
    }

    /// Starts an engine as [`start_with_etc`](Self::start_with_etc), in its own network, where every port is free and
    /// containers have a bridge; it sees each of the directories `empty` as an empty one.
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
        let network = NetworkOfContainers(directory.path().join("exec/netns/default"));
        Self { process, _network: network, directory }
    }

    /// Makes the engine read `/etc/docker/daemon.json` again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.process.signal("HUP");
        self.process.wait_for(|line| line.contains("Reloaded configuration").then_some(()));
    }

    /// Holds the engine where it is, in the middle of what it sends.
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets a paused engine continue.
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
    }

    /// The engine's address, as in `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }

    /// A program in the engine's network and mount namespaces.
    pub(crate) fn command_inside(&self, program: &str) -> Command {
        let mut command = tool("nsenter");
        command.arg(format!("--target={}", self.process.pid())).args(["--net", "--mount", program]);
        command
    }

    /// A command of the engine's client, whose configuration (logins) is private too.
    pub(crate) fn docker(&self) -> Command {
        let mut command = tool("docker");
        command.env("DOCKER_CONFIG", self.directory.path().join("client"));
        command.env("DOCKER_BUILDKIT", "0");
        command.arg("--host").arg(self.host());
        command
    }

    /// Writes the configuration of the engine's client.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::create_dir_all(self.directory.path().join("client")).unwrap();
        std::fs::write(self.directory.path().join("client/config.json"), config).unwrap();
    }

    /// Runs a command of the engine's client.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> String {
        run(self.docker().args(args)).trim().to_owned()
    }

    /// Runs a command of the client that must fail, and returns its output.
    #[track_caller]
    pub(crate) fn fail(&self, args: &[&str]) -> String {
        fail(self.docker().args(args))
    }

    /// Pushes a local image, removes it, and pulls it again: it must be the same.
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
