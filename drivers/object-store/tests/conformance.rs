//! The conformance suite, on stores in memory and on the servers that the environment names.
//!
//! A server is named by its section of the configuration file, in JSON and without `rootdirectory`; the scripts in
//! `tests/servers` print it. Without it, its trials are shown as ignored.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use libtest_mimic::{Arguments, Trial};
use object_store::memory::InMemory;
use sampan_conformance::Fixture;
use sampan_driver::{BuildError, DriverConfig, StorageDriver};
use sampan_driver_object_store::{AzureConfig, GcsConfig, ObjectStoreDriver, S3Config};
use serde::Deserialize;

use support::profile;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    // Parts as they usually are, and parts so small that uploads have many of them.
    trials.extend(of_profile("memory", &memory(10 << 20)));
    trials.extend(of_profile("memory-small-parts", &memory(256 << 10)));
    for (name, variable) in [
        ("ceph", "SAMPAN_TEST_CEPH"),
        ("moto", "SAMPAN_TEST_MOTO"),
        ("garage", "SAMPAN_TEST_GARAGE"),
        ("s3", "SAMPAN_TEST_S3"),
    ] {
        trials.extend(of_profile(name, &server(variable, |config: &mut S3Config| &mut config.rootdirectory)));
    }
    trials.extend(of_profile(
        "azurite",
        &server("SAMPAN_TEST_AZURITE", |config: &mut AzureConfig| &mut config.rootdirectory),
    ));
    trials.extend(of_profile(
        "gcs",
        &server("SAMPAN_TEST_GCS", |config: &mut GcsConfig| &mut config.rootdirectory),
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The trials on `fixture`, with the profile in front of what each lacks.
fn of_profile(profile: &'static str, fixture: &Fixture) -> Vec<Trial> {
    let name = |trial: Trial| {
        if UNFIT.contains(&(profile, trial.name())) {
            return trial
                .with_kind(format!("{profile}: the server itself is at fault"))
                .with_ignored_flag(true);
        }
        let kind = match trial.kind() {
            "" => profile.to_owned(),
            lacking => format!("{profile}: {lacking}"),
        };
        trial.with_kind(kind)
    };
    sampan_conformance::trials(fixture).into_iter().map(name).collect()
}

/// One store in the memory of this process; to reopen it is to make another driver over it, which knows nothing of the first.
fn memory(part_size: u64) -> Fixture {
    Fixture::in_prefix(move |prefix| Memory { root: prefix.to_owned(), part_size })
}

/// A server that the environment variable `variable` tells of.
fn server<C: DriverConfig>(variable: &'static str, root: fn(&mut C) -> &mut Option<String>) -> Fixture {
    let Some(section) = profile(variable) else { return Fixture::ignored(format!("set {variable}")) };
    Fixture::in_prefix(move |prefix| {
        let mut config: C = serde_json::from_str(&section).expect("the variable holds a section in JSON");
        *root(&mut config) = Some(prefix.to_owned());
        config
    })
}

#[derive(Deserialize)]
struct Memory {
    root: String,
    part_size: u64,
}

#[async_trait]
impl DriverConfig for Memory {
    const NAME: &'static str = "memory";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        static STORE: LazyLock<Arc<InMemory>> = LazyLock::new(Default::default);
        Ok(Arc::new(ObjectStoreDriver::over(STORE.clone(), &self.root, self.part_size)?))
    }
}

/// What a server gets wrong by itself: moto looks and writes in two steps, so that racers may all win.
const UNFIT: [(&str, &str); 2] =
    [("moto", "driver::content::create_has_one_winner"), ("gcs", "driver::content::create_has_one_winner")];
