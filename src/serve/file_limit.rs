//! How many files this process may open, and how many connections fit into that.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is left for the log, listeners, the debug server, requests of our own and connections that are leaving.
const RESERVED: u64 = 100;

/// Fewer connections than this are no service; the error of `accept` says then what is wrong.
const FEWEST: u64 = 16;

/// Raises the number of files that this process may open to the most that it may raise it to, as programs in Go do by
/// themselves; gives what it is then, `None` for no limit.
///
/// # Errors
///
/// When the kernel refuses; the limit is what it was.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

/// How many files this process may open without raising the limit; `None` for no limit.
pub fn soft_file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many files so many connections need.
pub fn files_for(connections: usize) -> u64 {
    (connections as u64).saturating_mul(2).saturating_add(RESERVED)
}

/// How many connections fit into a limit of `files`: each may have a file of the store open besides its socket.
pub fn connections_within(files: Option<u64>) -> usize {
    let Some(files) = files else { return usize::MAX };
    usize::try_from((files.saturating_sub(RESERVED) / 2).max(FEWEST)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_for_the_store() {
        assert_eq!(connections_within(None), usize::MAX);
        assert_eq!(connections_within(Some(1024)), 462);
        assert_eq!(connections_within(Some(20_000)), 9950);
        assert_eq!(connections_within(Some(64)), 16);
    }

    #[test]
    fn the_limit_is_raised_to_what_it_may_be() {
        let raised = raise_file_limit().unwrap();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (raised, raised));
    }
}
