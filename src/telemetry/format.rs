//! Formats log lines as logrus does, so that tools for Distribution's logs work.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use sampan_config::LogFormatter;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::json_line::json_line;
use sampan_driver::with_causes;

/// Formats events as lines.
#[derive(Clone, Debug)]
pub struct LineFormat {
    format: LogFormatter,
    fields: BTreeMap<String, Value>,
    caller: bool,
}

impl LineFormat {
    /// Lines of `format`, each with `fields`.
    pub fn new(format: LogFormatter, fields: BTreeMap<String, Value>) -> Self {
        Self { format, fields, caller: false }
    }

    /// Adds the source location to each line, as logrus does, if `caller` is set.
    #[must_use]
    pub fn with_caller(self, caller: bool) -> Self {
        Self { caller, ..self }
    }

    fn line(&self, level: Level, time: &str, event: Parts) -> Result<String, fmt::Error> {
        match self.format {
            LogFormatter::Text => self.text(level, time, &event),
            LogFormatter::Json => {
                let mut line = self.object(event.fields);
                line.insert("level".to_owned(), level_name(level).into());
                line.insert("msg".to_owned(), event.message.into());
                line.insert("time".to_owned(), time.into());
                Ok(json_line(&Value::Object(line)))
            }
            LogFormatter::Logstash => {
                let mut line = self.object(event.fields);
                line.insert("@timestamp".to_owned(), time.into());
                line.insert("@version".to_owned(), "1".into());
                line.insert("level".to_owned(), level_name(level).into());
                line.insert("message".to_owned(), event.message.into());
                Ok(json_line(&Value::Object(line)))
            }
        }
    }

    fn object(&self, fields: Vec<(&'static str, Value)>) -> Map<String, Value> {
        let mut object: Map<String, Value> = self.fields.clone().into_iter().collect();
        object.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        object
    }

    fn text(&self, level: Level, time: &str, event: &Parts) -> Result<String, fmt::Error> {
        let mut line = String::with_capacity(256);
        write!(line, "time={time:?} level={}", level_name(level))?;
        write_pair(&mut line, "msg", &Value::String(event.message.clone()))?;
        for (name, value) in &self.fields {
            write_pair(&mut line, name, value)?;
        }
        for (name, value) in &event.fields {
            // Machines need the error as a field; people need it once.
            let is_said =
                *name == "error" && value.as_str().is_some_and(|error| event.message.contains(error));
            if !is_said {
                write_pair(&mut line, name, value)?;
            }
        }
        Ok(line)
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        if self.caller {
            parts.add_caller(event.metadata());
        }
        let time = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", self.line(*event.metadata().level(), &time, parts)?)
    }
}

/// The parts of an event.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Parts {
    fn add_caller(&mut self, metadata: &Metadata<'_>) {
        let module = metadata.module_path().unwrap_or(metadata.target());
        self.fields.push(("func", module.into()));
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            self.fields.push(("file", format!("{file}:{line}").into()));
        }
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let value = value.into();
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    /// Includes the causes of an error.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, with_causes(value));
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn write_pair(line: &mut String, name: &str, value: &Value) -> fmt::Result {
    match value {
        Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
        // Debug escapes quotes and control characters, which keeps the line a single line.
        Value::String(text) => write!(line, " {name}={text:?}"),
        Value::Array(_) | Value::Object(_) => write!(line, " {name}={:?}", value.to_string()),
        other => write!(line, " {name}={other}"),
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/' | b'@' | b'^' | b'+')
    };
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormatter, fields: Vec<(&'static str, Value)>) -> String {
        let format = LineFormat::new(format, BTreeMap::from([("service".to_owned(), "registry".into())]));
        let message = "listening on [::]:5000".to_owned();
        format.line(Level::WARN, "2026-01-02T03:04:05Z", Parts { message, fields }).unwrap()
    }

    #[test]
    fn text_has_logrus_format() {
        assert_eq!(
            line(
                LogFormatter::Text,
                vec![("size", 5.into()), ("path", "/a b\n".into()), ("tag", "v1.2".into())]
            ),
            r#"time="2026-01-02T03:04:05Z" level=warning msg="listening on [::]:5000" service=registry size=5 path="/a b\n" tag=v1.2"#
        );
    }

    #[test]
    fn an_error_appears_once_in_text_and_as_a_field_in_json() {
        let fields = || vec![("error", "[::]:5000".into())];
        let text = line(LogFormatter::Text, fields());
        assert!(!text.contains("error="), "{text}");
        let json = line(LogFormatter::Json, fields());
        assert!(json.contains(r#""error":"[::]:5000""#), "{json}");
        let text = line(LogFormatter::Text, vec![("error", "another".into())]);
        assert!(text.ends_with("error=another"), "{text}");
    }

    #[test]
    fn json_has_the_keys_of_its_format() {
        assert_eq!(
            line(LogFormatter::Json, vec![("size", 5.into())]),
            r#"{"level":"warning","msg":"listening on [::]:5000","service":"registry","size":5,"time":"2026-01-02T03:04:05Z"}"#
        );
        assert_eq!(
            line(LogFormatter::Logstash, vec![]),
            r#"{"@timestamp":"2026-01-02T03:04:05Z","@version":"1","level":"warning","message":"listening on [::]:5000","service":"registry"}"#
        );
    }

    #[test]
    fn a_line_contains_its_source_location_if_enabled() {
        use tracing_subscriber::layer::SubscriberExt;

        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let format = LineFormat::new(LogFormatter::Text, BTreeMap::new()).with_caller(true);
        let layer = tracing_subscriber::fmt::layer().event_format(format).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::Registry::default().with(layer), || {
            tracing::info!("here");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains(" func=\"sampan::telemetry::format::tests\" file=\"src/telemetry/format.rs:"),
            "{text}"
        );
    }
}
