//! The log: to whom it goes, and from which level on.
//!
//! The log is on standard error; standard output belongs to the access log and to commands.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

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
    /// Whether every line names its place in the program.
    pub caller: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, format: LogFormat::Text, fields: BTreeMap::new(), caller: false }
    }
}

/// Sends everything that is logged from now on to standard error. The first call counts; a process has one log.
///
/// `traces` listens to the spans of traces, if they are wanted.
///
/// `RUST_LOG`, when it is set, says more exactly what is logged than `options.level`.
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
    // An error means that there is one already: a test, or a program that uses this as a library.
    let _ = tracing::subscriber::set_global_default(subscriber);
    switch
}

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LevelSwitch(Option<reload::Handle<Targets, Registry>>);

impl LevelSwitch {
    /// Logs from `level` on, unless `RUST_LOG` has the say; tells whether it does.
    pub fn set(&self, level: LevelFilter) -> bool {
        self.0.as_ref().is_some_and(|handle| handle.reload(ours_at(level)).is_ok())
    }
}

/// Our own modules at `level`; libraries only from warnings on, unless it is a debugging level.
fn ours_at(level: LevelFilter) -> Targets {
    let others = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    Targets::new().with_default(others).with_target("sampan", level).with_target("registry", level)
}
