//! A file of passwords: `registry htpasswd list` and the registry agree about who can log in.

use std::cell::LazyCell;
use std::fs;
use std::path::PathBuf;

use sampan::auth::htpasswd_file::{EditError, ListedHash, list};
use sampan::auth::{Htpasswd, HtpasswdError, ThrottleOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

thread_local! {
    static PLACE: LazyCell<(TempDir, PathBuf, Runtime)> = LazyCell::new(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("htpasswd");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        (directory, path, runtime)
    });
}

pub(super) fn run(data: &[u8]) {
    PLACE.with(|place| {
        let (_, path, runtime) = &**place;
        fs::write(path, data).expect("the file can be written");
        let opened = runtime.block_on(Htpasswd::open("realm", path.clone(), ThrottleOptions::default()));
        match (opened, list(path)) {
            (Ok(opened), Ok(listed)) => {
                let can = |hash: &ListedHash| matches!(hash, ListedHash::Bcrypt { cost: 4..=31 });
                let users = listed.iter().filter(|user| can(&user.hash)).count();
                assert_eq!(opened.users(), users, "{listed:?}");
            }
            (Err(HtpasswdError::Malformed { .. }), Err(EditError::Malformed { .. })) => {}
            (opened, listed) => panic!("{opened:?}, but {listed:?}"),
        }
    });
}
