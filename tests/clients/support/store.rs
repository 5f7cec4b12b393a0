//! Object stores under test: the scripts in `tests/servers` start them, on ports of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{run, tool};

/// A running object store with a bucket.
pub(crate) struct StoreServer {
    /// The section of the configuration file, without its `rootdirectory`.
    pub(crate) section: Value,
    /// The directory of the server's files and process ids, unless the server belongs to the whole test run. The server stops
    /// when the test ends.
    own: Option<TempDir>,
}

impl StoreServer {
    /// Runs the script `<name>.sh`: `moto` and Azurite take seconds, `ceph` a quarter of a minute.
    #[track_caller]
    pub(crate) fn start(name: &str) -> Self {
        // Created first, so that a failing script's processes are stopped too.
        let mut server = Self { section: Value::Null, own: Some(tempfile::tempdir().unwrap()) };
        let printed = run(script(name).arg(server.directory().join("server")));
        // The last line is for the environment: NAME='section of the configuration file, in JSON'.
        let line = printed.lines().last().unwrap_or_default();
        let section = line.split_once('=').map(|(_, section)| section.trim_matches('\''));
        let section = section.and_then(|section| serde_json::from_str(section).ok());
        server.section = section.unwrap_or_else(|| panic!("no section in {printed:?}"));
        server
    }

    /// Ceph's gateway: the one of this test run if there is one (`tests/servers/with-servers.sh ceph -- cargo test …`), else
    /// one for this test. Other tests may use it too, below other root directories.
    #[track_caller]
    pub(crate) fn ceph() -> Self {
        match std::env::var("SAMPAN_TEST_CEPH") {
            Ok(section) => Self { section: serde_json::from_str(&section).unwrap(), own: None },
            Err(_) => Self::start("ceph"),
        }
    }

    /// A value of the section that is a string.
    #[track_caller]
    pub(crate) fn text(&self, key: &str) -> &str {
        self.section[key].as_str().unwrap()
    }

    /// The output of the server's process `name`.
    pub(crate) fn output(&self, name: &str) -> String {
        fs::read_to_string(self.directory().join("server").join(format!("{name}.out"))).unwrap()
    }

    /// A configuration of the registry over this store with keys below `root`. It allows everything, and the registry itself
    /// serves blobs. `change` can first change the section's keys.
    pub(crate) fn config(&self, root: &str, change: impl FnOnce(&mut Value)) -> String {
        self.config_as("s3", root, change)
    }

    /// The same for a section of another name.
    pub(crate) fn config_as(&self, name: &str, root: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut section = self.section.clone();
        section["rootdirectory"] = root.into();
        change(&mut section);
        // JSON is YAML.
        format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  {name}: {section}\n  delete: {{enabled: true}}\n  redirect: {{disable: true}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
        )
    }

    #[track_caller]
    fn directory(&self) -> &Path {
        self.own.as_ref().expect("the server is not the test's own").path()
    }
}

/// The same configuration without the purge of uploads, whose requests, at a random time, would disturb tests that count
/// requests or make them fail.
pub(crate) fn without_purge(config: &str) -> String {
    config.replace("  delete:", "  maintenance: {uploadpurging: {enabled: false}}\n  delete:")
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        let Some(directory) = &self.own else { return };
        let stopped = script("stop").arg(directory.path().join("server")).status();
        if !std::thread::panicking() {
            assert!(stopped.is_ok_and(|status| status.success()), "the server was not stopped");
        }
    }
}

fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(format!("{name}.sh"));
    tool(path.to_str().unwrap())
}
