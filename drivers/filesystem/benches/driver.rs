//! Benchmarks of the driver; `cargo bench -p sampan-driver-filesystem` prints the table.

use sampan_driver_filesystem::FilesystemConfig;

sampan_conformance::bench!(Fixture::in_dir(|dir| FilesystemConfig {
    rootdirectory: dir.to_owned(),
    ..Default::default()
}));
