//! What is measured, and how.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::work::Work;

/// Everything about a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server that is measured, A.
    pub target: Target,
    /// The one that it is compared with, B.
    pub versus: Option<Target>,
    /// What they do, in this order.
    pub works: Vec<Work>,
    /// With how many clients at once, each on a connection of its own; every work is done with every number.
    pub clients: Vec<usize>,
    /// How many threads of ours the clients share.
    pub threads: usize,
    /// How often each work is measured on each server.
    pub rounds: usize,
    /// How long one measurement takes; operations that have begun are finished.
    pub duration: Duration,
    /// Bytes of a large blob.
    pub large: u64,
    /// Bytes of a small blob.
    pub small: u64,
    /// A measurement of pushes ends when it has pushed this many bytes, or one blob for each client.
    pub push_volume: u64,
    /// The repository that is filled; those of the catalogue begin with its name.
    pub repository: String,
    /// Whether what was pushed stays.
    pub keep: bool,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is; a path is put before `/v2/`.
    pub url: Url,
    /// What it is.
    pub kind: Kind,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// Its process on this machine, whose CPU time and memory are read, with those of its children.
    pub pid: Option<u32>,
    /// Its files on this machine, which are put out of the page cache before each measurement of a pull.
    pub cold: Option<PathBuf>,
}

/// What a server is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A registry.
    Registry,
    /// A server of plain files, which lie in this directory; its URL is that of the directory.
    Files(PathBuf),
}

/// A name and a password.
#[derive(Clone)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// The secret.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("password", &"***").finish()
    }
}

/// Which certificates are believed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TlsOptions {
    /// Those that this machine trusts.
    #[default]
    System,
    /// Those that an authority in this PEM file has signed.
    Authority(PathBuf),
    /// All.
    Insecure,
}
