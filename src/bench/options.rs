//! The options of a run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::workload::Workload;

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server A, which is measured.
    pub target: Target,
    /// The server B, for comparison.
    pub versus: Option<Target>,
    /// The works, in order.
    pub works: Vec<Workload>,
    /// The numbers of concurrent clients, each on its own connection; every work runs with every number.
    pub clients: Vec<usize>,
    /// The number of threads that the clients share.
    pub threads: usize,
    /// The number of measurements of each work on each server.
    pub rounds: usize,
    /// The duration of a measurement; running operations are finished.
    pub duration: Duration,
    /// Bytes of a large blob.
    pub large: u64,
    /// Bytes of a small blob.
    pub small: u64,
    /// A measurement of pushes ends when it has pushed this many bytes, or one blob for each client.
    pub push_volume: u64,
    /// The repository to fill; those of the catalogue have its name as a prefix.
    pub repository: String,
    /// Whether to keep the pushed content.
    pub keep: bool,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URL; a path is put before `/v2/`.
    pub url: Url,
    /// The kind of server.
    pub kind: Kind,
    /// The login.
    pub credentials: Option<Credentials>,
    /// The trusted certificates.
    pub tls: TlsOptions,
    /// Its process on this machine; the run reads the CPU time and memory of it and its children.
    pub pid: Option<u32>,
    /// Its files on this machine, to drop from the page cache before each measurement of a pull.
    pub cold: Option<PathBuf>,
}

/// The kind of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A registry.
    Registry,
    /// A server of the plain files in this directory; its URL names the directory.
    Files(PathBuf),
}

/// A name and a password.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("password", &"***").finish()
    }
}

/// The trusted certificates.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TlsOptions {
    /// Those that this machine trusts.
    #[default]
    System,
    /// Those signed by an authority in this PEM file.
    Authority(PathBuf),
    /// All certificates.
    Insecure,
}
