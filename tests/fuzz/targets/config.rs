//! A configuration and its variables: read or refused with reasons, and what is shown loads again.
//!
//! The bytes are the file, a line of `---environment---`, and lines of `NAME=value`.

use sampan::config::{Config, Environment, Source, for_distribution, show};

/// A longer file makes runs slow, and says nothing new.
const MAX_BYTES: usize = 16 << 10;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > MAX_BYTES {
        return;
    }
    let (text, variables) = text.split_once("---environment---\n").unwrap_or((text, ""));
    let environment: Environment = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let load = |text: &str, environment: &Environment| {
        Config::load(Source::Text { name: "config.yml".to_owned(), text: text.to_owned() }, environment)
    };
    match load(text, &environment) {
        Ok(loaded) => {
            let _ = for_distribution(&loaded);
            let shown = show(&loaded);
            // Secrets are shown as stars, which some keys refuse; everything else comes back.
            if !shown.contains("***") {
                let again =
                    load(&shown, &Environment::default()).unwrap_or_else(|error| panic!("{error}\n{shown}"));
                assert_eq!(values(&show(&again)), values(&shown), "{shown}");
            }
        }
        Err(error) => {
            assert!(!error.diagnostics().is_empty(), "refused without a reason: {error}");
            for mistake in error.diagnostics() {
                assert!(!mistake.message.is_empty(), "{mistake:?}");
            }
        }
    }
}

/// The lines without the place that each value is from, and without the first, which names the file.
fn values(shown: &str) -> Vec<&str> {
    shown.lines().skip(1).map(|line| line.split_once("  # ").map_or(line, |(value, _)| value)).collect()
}
