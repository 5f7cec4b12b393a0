//! The conformance suite, on the servers that the environment names.
//!
//! A server is named by its section of the configuration file, in JSON and without `rootdirectory`, which the scripts in
//! `tests/servers` print:
//!
//! ```text
//! tests/servers/with-servers.sh ceph -- cargo test -p sampan-driver-object-store --test servers
//! ```
//!
//! The trials on a server that is not named are shown as ignored, unless `SAMPAN_TEST_SERVERS` lists it.

#![expect(clippy::expect_used, reason = "a test that cannot continue fails")]

mod support;

use std::process::ExitCode;

use libtest_mimic::Trial;
use sampan_conformance::{Fixture, Pace, run_trials};
use sampan_driver::DriverConfig;
use sampan_driver_object_store::{AzureConfig, GcsConfig, S3Config};

use support::of_profile;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for name in ["ceph", "moto", "garage", "s3"] {
        trials.extend(on_server(name, |config: &mut S3Config| &mut config.rootdirectory));
    }
    trials.extend(on_server("azurite", |config: &mut AzureConfig| &mut config.rootdirectory));
    trials.extend(on_server("gcs", |config: &mut GcsConfig| &mut config.rootdirectory));
    run_trials(trials)
}

/// The trials on the server `name`, below random root directories.
fn on_server<C: DriverConfig>(name: &str, root: fn(&mut C) -> &mut Option<String>) -> Vec<Trial> {
    let variable = format!("SAMPAN_TEST_{}", name.to_uppercase());
    let section = std::env::var(&variable).ok().filter(|section| !section.is_empty());
    let fixture = match section {
        Some(section) => Fixture::in_prefix(move |prefix| {
            let mut config: C = serde_json::from_str(&section).expect("the variable holds a section in JSON");
            *root(&mut config) = Some(prefix.to_owned());
            config
        })
        .paced(pace(name)),
        None => {
            let promised = std::env::var("SAMPAN_TEST_SERVERS").unwrap_or_default();
            assert!(
                !promised.split(' ').any(|promised| promised == name),
                "{name} is there, but {variable} is not set"
            );
            Fixture::ignored(format!("set {variable}"))
        }
    };
    of_profile(name, &fixture).into_iter().map(|trial| without_unfit(name, trial)).collect()
}

fn without_unfit(server: &str, trial: Trial) -> Trial {
    let why = match trial.name() {
        "driver::content::create_has_one_winner" if matches!(server, "moto" | "gcs") => NOT_IN_ONE_STEP,
        _ => return trial,
    };
    trial.with_kind(format!("{server}: {why}")).with_ignored_flag(true)
}

/// moto, which the shim of `gcs` also uses, answers about three hundred requests per second, whatever the concurrency.
fn pace(server: &str) -> Pace {
    if matches!(server, "moto" | "gcs") { Pace::Crawling } else { Pace::Server }
}

const NOT_IN_ONE_STEP: &str = "moto looks and writes in two steps, so that racers may all win";
