//! The log: to whom it goes, and from which level on.
//!
//! The log is on standard error; standard output belongs to the access log and to commands.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::format::LineFormat;

/// How a line of the log looks (`log.formatter`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// `time="…" level=info msg="…" key=value`.
    #[default]
    Text,
    /// One JSON object a line, with the keys `time`, `level` and `msg`.
    Json,
    /// One JSON object a line, with the keys `@timestamp`, `@version`, `level` and `message`.
    Logstash,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
    /// Fields that every line has.
    pub fields: BTreeMap<String, Value>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, format: LogFormat::Text, fields: BTreeMap::new() }
    }
}

/// Sends everything that is logged from now on to standard error. The first call counts; a process has one log.
///
/// `RUST_LOG`, when it is set, says more exactly what is logged than `options.level`.
pub fn install(options: &LogOptions) {
    let format = LineFormat::new(options.format, options.fields.clone());
    let lines = fmt::layer().event_format(format).with_ansi(false).with_writer(io::stderr);
    let subscriber = match EnvFilter::try_from_default_env() {
        Ok(filter) => Registry::default().with(lines.with_filter(filter).boxed()),
        Err(_) => Registry::default().with(lines.with_filter(ours_at(options.level)).boxed()),
    };
    // An error means that there is one already: a test, or a program that uses this as a library.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Our own modules at `level`; libraries only from warnings on, unless it is a debugging level.
fn ours_at(level: LevelFilter) -> Targets {
    let others = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    Targets::new().with_default(others).with_target("sampan", level).with_target("registry", level)
}
