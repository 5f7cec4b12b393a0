//! The registry under test: its configuration, its process, its collector.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::Client;

/// The program under test, and its handicaps.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) binary: PathBuf,
    /// Debian's `docker-registry`: other options, no collector of its own.
    pub(crate) is_peer: bool,
    /// The faults that `strace -e inject=` makes in the recorded registry.
    pub(crate) mutant: Option<String>,
}

/// A running registry; killed when dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    child: Child,
    pub(crate) client: Client,
    pub(crate) log: PathBuf,
}

/// The options of a registry's start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// The grace period of the built-in collector; `None` runs no collector.
    pub(crate) grace: Option<Duration>,
    pub(crate) mutated: bool,
    pub(crate) is_read_only: bool,
}

impl Subject {
    /// Starts the registry over `root`; its configuration and log go to `scratch`.
    pub(crate) fn start(&self, root: &Path, scratch: &Path, setup: Setup) -> Result<Registry> {
        // Another process may take the port before the registry does.
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_start(root, scratch, setup) {
                Err(error) if attempt >= 3 => return Err(error),
                Err(_) => {}
                result => return result,
            }
        }
    }

    fn try_start(&self, root: &Path, scratch: &Path, setup: Setup) -> Result<Registry> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = write_config(root, scratch, port, setup)?;
        let log = scratch.join(format!("registry-{}.log", next_number()));
        let output = File::create(&log)?;
        let mut command = match (&self.mutant, setup.mutated) {
            (Some(injection), true) => {
                let mut command = Command::new("strace");
                // With -D the registry is a child of this process, and strace ends when it does.
                command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("inject={injection}"));
                command.arg(&self.binary);
                command
            }
            _ => Command::new(&self.binary),
        };
        command.arg("serve").arg(&config);
        let child = command
            .env("OTEL_TRACES_EXPORTER", "none")
            .current_dir(scratch)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.binary.display()))?;
        let mut registry = Registry { child, client: Client::new(port), log };
        let begun = Instant::now();
        loop {
            // Another process may have the port by now, and may be a registry.
            if listens(registry.child.id(), port)
                && registry.client.get("/v2/").is_ok_and(|answer| answer.status == 200)
            {
                return Ok(registry);
            }
            if let Some(status) = registry.child.try_wait()? {
                bail!("the registry ended ({status}): {}", registry.last_words());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("the registry does not answer: {}", registry.last_words());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Collects garbage of a store without users, so that nothing is too fresh; returns the exit code and the output.
    pub(crate) fn collect(&self, root: &Path, scratch: &Path, is_dry: bool) -> Result<(i32, String)> {
        // The collector reports that an empty directory is no store.
        if !root.join("docker").exists() {
            return Ok((0, String::new()));
        }
        let config = self.config(root, scratch, Setup::default())?;
        let mut command = Command::new(&self.binary);
        command.arg("garbage-collect");
        if is_dry {
            command.arg("--dry-run");
        } else {
            command.arg("--delete-untagged");
        }
        if !self.is_peer {
            // Most of a store like this may be garbage.
            command.args(["--grace", "0s", "--yes"]);
        }
        let output = command.arg(&config).current_dir(scratch).stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap_or(-1);
        Ok((code, String::from_utf8_lossy(&text).into_owned()))
    }
}

impl Subject {
    /// Writes a configuration of the store `root` for a command, and returns its path.
    pub(crate) fn config(&self, root: &Path, scratch: &Path, setup: Setup) -> Result<String> {
        Ok(write_config(root, scratch, 1, setup)?.display().to_string())
    }

    /// Runs a command of the registry to its end; returns the exit code and the output.
    pub(crate) fn command(&self, scratch: &Path, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(&self.binary);
        let output = command.args(arguments).current_dir(scratch).stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned()))
    }
}

impl Registry {
    /// Kills the process at once, as a power failure does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether the process `pid` itself listens on a port of IPv4.
fn listens(pid: u32, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let listener = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (*state == LISTEN && local.ends_with(&format!(":{port:04X}"))).then(|| format!("socket:[{inode}]"))
    });
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    listener.is_some_and(|listener| targets.any(|target| target.as_os_str() == listener.as_str()))
}

fn write_config(root: &Path, scratch: &Path, port: u16, setup: Setup) -> Result<PathBuf> {
    let gc = setup.grace.map_or_else(String::new, |grace| {
        let grace = grace.as_millis();
        format!("  gc: {{enabled: true, interval: 500ms, grace: {grace}ms, untagged: true}}\n")
    });
    let config = format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n{gc}  \
         maintenance: {{uploadpurging: {{enabled: false}}, readonly: {{enabled: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}', secret: power-failure}}\n",
        root.display(),
        setup.is_read_only
    );
    let path = scratch.join(format!("config-{}.yml", next_number()));
    fs::write(&path, config).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn next_number() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Whether a file of the collector's directory belongs to one collection, judged by its name.
pub(crate) fn is_of_a_run(name: &str) -> bool {
    ["run", "doomed"].iter().any(|kind| name == *kind || name.starts_with(&format!("{kind}-")))
}
