//! Runs the conformance suite.

use sampan_driver_filesystem::FilesystemConfig;

sampan_conformance::main!(Fixture::in_dir(|dir| FilesystemConfig {
    rootdirectory: dir.to_owned(),
    ..Default::default()
}));
