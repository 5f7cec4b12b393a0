//! The log: its destination and level.
//!
//! The log goes to standard error; standard output belongs to the access log and to commands.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::format::LineFormat;

/// The format of log lines (`log.formatter`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// `time="…" level=info msg="…" key=value`.
    #[default]
    Text,
    /// One JSON object per line, with the keys `time`, `level` and `msg`.
    Json,
    /// One JSON object per line, with the keys `@timestamp`, `@version`, `level` and `message`.
    Logstash,
}

/// The settings of the log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The least severe level to log.
    pub level: LevelFilter,
    /// The format of lines.
    pub format: LogFormat,
    /// Fields of every line.
    pub fields: BTreeMap<String, Value>,
    /// Whether every line contains its source location.
    pub caller: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, format: LogFormat::Text, fields: BTreeMap::new(), caller: false }
    }
}

/// Installs the log on standard error. The first call wins; a process has one log.
///
/// `traces` receives the spans of traces, if enabled.
///
/// `RUST_LOG` overrides `options.level`.
pub fn install(options: &LogOptions, traces: Option<Box<dyn Layer<Registry> + Send + Sync>>) -> LevelSwitch {
    let format = LineFormat::new(options.format, options.fields.clone()).with_caller(options.caller);
    let lines = fmt::layer().event_format(format).with_ansi(false).with_writer(io::stderr);
    let (lines, switch) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (lines.with_filter(filter).boxed(), LevelSwitch(None)),
        Err(_) => {
            let (filter, handle) = reload::Layer::new(ours_at(options.level));
            (lines.with_filter(filter).boxed(), LevelSwitch(Some(handle)))
        }
    };
    let layers: Vec<_> = std::iter::once(lines).chain(traces).collect();
    let subscriber = Registry::default().with(layers);
    // An error means that a log is installed already: by a test, or by a program that uses this crate as a
    // library.
    let _ = tracing::subscriber::set_global_default(subscriber);
    switch
}

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LevelSwitch(Option<reload::Handle<Targets, Registry>>);

impl LevelSwitch {
    /// Changes the level, unless `RUST_LOG` determines it. Returns whether it did.
    pub fn set(&self, level: LevelFilter) -> bool {
        self.0.as_ref().is_some_and(|handle| handle.reload(ours_at(level)).is_ok())
    }
}

/// Our own modules at `level`; libraries at warnings only, except for debugging levels.
fn ours_at(level: LevelFilter) -> Targets {
    let others = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    Targets::new().with_default(others).with_target("sampan", level).with_target("registry", level)
}
