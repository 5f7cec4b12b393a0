//! The limit on open files, and the number of connections that fit into it.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files reserved for the log, listeners, the debug server, our own requests and leaving connections.
const RESERVED: u64 = 100;

/// The fewest connections to derive from a low limit; below it `accept` reports the problem.
const MIN_CONNECTIONS: u64 = 16;

/// Raises the process's limit on open files to its hard limit, as Go programs do. Returns the new limit;
/// `None` for unlimited.
///
/// # Errors
///
/// The kernel refuses; the limit is unchanged.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

/// The current limit on open files; `None` for unlimited.
pub fn soft_file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The number of files that `connections` connections need.
pub fn files_for(connections: usize) -> u64 {
    (connections as u64).saturating_mul(2).saturating_add(RESERVED)
}

/// The number of connections that fit into `files`: each may open a file of the store besides its socket.
pub fn connections_within(files: Option<u64>) -> usize {
    let Some(files) = files else { return usize::MAX };
    usize::try_from((files.saturating_sub(RESERVED) / 2).max(MIN_CONNECTIONS)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_reserved_for_the_store() {
        assert_eq!(connections_within(None), usize::MAX);
        assert_eq!(connections_within(Some(1024)), 462);
        assert_eq!(connections_within(Some(20_000)), 9950);
        assert_eq!(connections_within(Some(64)), 16);
    }

    #[test]
    fn the_limit_is_raised_to_its_maximum() {
        let raised = raise_file_limit().unwrap();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (raised, raised));
    }
}
