//! The log: its destination and level.
//!
//! The log goes to standard error; standard output belongs to the access log and to commands.

use sampan_config::{LogConfig, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::format::LineFormat;
use super::log_writer::LogWriter;
use crate::line_queue::LineSender;

/// Installs the log of a command on standard error. The first call wins; a process has one log.
///
/// `RUST_LOG` overrides `config.level`.
pub fn install(config: &LogConfig) {
    install_with(config, LogWriter::Patient, None);
}

/// Installs the log of a serving registry, whose lines a thread writes; at the end the process waits for it.
///
/// `traces` receives the spans of traces, if enabled.
pub(crate) fn install_for_server(
    config: &LogConfig,
    traces: Option<Box<dyn Layer<Registry> + Send + Sync>>,
) -> (LevelSwitch, Option<LineSender>) {
    let (writer, lines) = LogWriter::queued();
    (install_with(config, writer, traces), lines)
}

fn install_with(
    config: &LogConfig,
    writer: LogWriter,
    traces: Option<Box<dyn Layer<Registry> + Send + Sync>>,
) -> LevelSwitch {
    let format = LineFormat::new(config.formatter, config.fields.clone()).with_caller(config.reportcaller);
    let lines = fmt::layer().event_format(format).with_ansi(false).with_writer(writer);
    let (lines, switch) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (lines.with_filter(filter).boxed(), LevelSwitch(None)),
        Err(_) => {
            let (filter, handle) = reload::Layer::new(ours_at(config.level));
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
    pub fn set(&self, level: LogLevel) -> bool {
        self.0.as_ref().is_some_and(|handle| handle.reload(ours_at(level)).is_ok())
    }
}

/// Our own modules at `level`; libraries at warnings only, except for debugging levels.
fn ours_at(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let others = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { level.min(LevelFilter::WARN) };
    Targets::new().with_default(others).with_target("sampan", level).with_target("registry", level)
}
