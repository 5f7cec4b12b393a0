//! The configuration: files, variables and mistakes of users.

mod access;
mod collection;
mod corpus;
mod drivers;
mod environment;
mod fail_closed;
mod mistakes;
mod show;
mod slips;
mod warnings;

use sampan::config::{Config, ConfigError, Environment, Loaded, Source};

/// The smallest valid configuration.
const MINIMAL: &str = "version: 0.1\nstorage: inmemory\n";

/// Loads a text as the file `config.yml`, with variables over it.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let source = Source::Text { name: "config.yml".to_owned(), text: text.to_owned() };
    Config::load(source, &environment(variables))
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads a valid configuration.
#[track_caller]
fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    match load(text, variables) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}"),
    }
}

/// The diagnostics of an invalid configuration, one per line.
#[track_caller]
fn mistakes(text: &str, variables: &[(&str, &str)]) -> String {
    match load(text, variables) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => lines(error.diagnostics()),
    }
}

fn warnings(text: &str, variables: &[(&str, &str)]) -> String {
    lines(&load(text, variables).unwrap_or_else(|error| panic!("{error}")).warnings)
}

fn lines(diagnostics: &[sampan::config::Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
