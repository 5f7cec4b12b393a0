//! Object stores to be tried: the scripts in `tests/servers` start them, on ports of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::run;

/// A running object store with an empty bucket, stopped when the test ends.
pub(crate) struct StoreServer {
    directory: TempDir,
    /// The section of the configuration file, without its `rootdirectory`.
    pub(crate) section: Value,
}

impl StoreServer {
    /// Starts what the script `<name>.sh` starts: `moto` and Azurite take seconds, `ceph` a quarter of a minute.
    #[track_caller]
    pub(crate) fn start(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let printed = run(script(name).arg(directory.path().join("server")));
        // The last line is for the environment: NAME='section of the configuration file, in JSON'.
        let line = printed.lines().last().unwrap_or_default();
        let section = line.split_once('=').map(|(_, section)| section.trim_matches('\''));
        let section = section.and_then(|section| serde_json::from_str(section).ok());
        Self { directory, section: section.unwrap_or_else(|| panic!("no section in {printed:?}")) }
    }

    /// What the process `name` of the server has printed.
    pub(crate) fn output(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join("server").join(format!("{name}.out"))).unwrap()
    }

    /// A configuration of the registry over this store with keys below `root`, in which everything is allowed. The section's
    /// keys can be changed by `change` first.
    pub(crate) fn config(&self, root: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut section = self.section.clone();
        section["rootdirectory"] = root.into();
        change(&mut section);
        // JSON is YAML.
        format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  s3: {section}\n  delete: {{enabled: true}}\n  redirect: {{disable: true}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
        )
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        let stopped = script("stop").arg(self.directory.path().join("server")).status();
        if !std::thread::panicking() {
            assert!(stopped.is_ok_and(|status| status.success()), "the server was not stopped");
        }
    }
}

fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(format!("{name}.sh"));
    Command::new(path)
}
