//! A driver over an embedded key-value store, and the suite run on it. `drivers/README.md` prints the line at the end.

mod my_driver;

sampan_conformance::main!(Fixture::in_dir(|dir| my_driver::MyConfig { root: dir.to_owned() }).exclusive());
