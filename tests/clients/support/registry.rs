//! Registries under test: ours, and Debian's package of Distribution 2.8.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Process, Wire, tool};

/// A registry in its own process.
pub(crate) struct RegistryProcess {
    /// The process.
    pub(crate) process: Process,
    /// The registry's address.
    pub(crate) address: SocketAddr,
}

impl RegistryProcess {
    /// Starts our registry and waits until it listens.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let process = Process::start(command);
        let address = process.wait_for(|line| {
            let address = line.split_once("listening on ")?.1;
            address.split(['"', ',', ' ']).next()?.parse().ok()
        });
        Self { process, address }
    }

    /// `host:port`, as clients write it before the name of a repository.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// A new connection.
    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(self.address)
    }
}

/// A configuration over `root` that allows everything and lets the kernel choose the port.
pub(crate) fn filesystem_config(root: &Path) -> String {
    format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
        root.display()
    )
}

/// Starts our registry with a configuration.
#[track_caller]
pub(crate) fn registry(directory: &Path, config: &str) -> RegistryProcess {
    RegistryProcess::start(&mut registry_command(&write_config(directory, "sampan.yml", config)))
}

/// The command that starts our registry with a configuration file.
pub(crate) fn registry_command(config: &Path) -> Command {
    let mut command = tool(env!("CARGO_BIN_EXE_registry"));
    command.arg("serve").arg(config);
    command
}

/// The secret with which Debian's registry signs its upload URLs.
pub(crate) const DEBIAN_SECRET: &str = "a-secret-for-tests";

/// Starts Debian's `docker-registry` over `root`.
#[track_caller]
pub(crate) fn debian_registry(directory: &Path, root: &Path) -> RegistryProcess {
    debian_registry_with(directory, &filesystem_config(root))
}

/// Starts Debian's `docker-registry` with a configuration.
#[track_caller]
pub(crate) fn debian_registry_with(directory: &Path, config: &str) -> RegistryProcess {
    // Distribution cannot report a port that the kernel chose, so it gets one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config.replace("'127.0.0.1:0'", &format!("'{address}', secret: {DEBIAN_SECRET}"));
    let path = write_config(directory, "debian.yml", &config);
    let mut command = tool("docker-registry");
    // The registry's S3 client does not start with a bundle of certificates in the environment.
    command.env_remove("AWS_CA_BUNDLE").arg("serve").arg(path);
    let process = Process::start(&mut command);
    process.wait_for(|line| line.contains("listening on").then_some(()));
    RegistryProcess { process, address }
}

/// Writes a configuration file.
pub(crate) fn write_config(directory: &Path, name: &str, config: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, config).unwrap();
    path
}
