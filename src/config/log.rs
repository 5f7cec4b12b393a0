//! The section `log`.

use std::collections::BTreeMap;

use super::Secret;
use super::key::{Key, Kind, Unserved};
use super::section::section;
use super::unserved::any_enabled;
use super::values::words;

section! {
    /// The level, the format and the fields of the log.
    pub struct LogConfig {
        /// `error`, `warn`, `info` or `debug`, in any letter case.
        pub level: LogLevel = "info",
        /// `text`, `json` or `logstash`.
        pub formatter: LogFormatter = "text",
        /// A map; added to every line.
        pub fields: BTreeMap<String, serde_json::Value>,
        /// Adds `func` and `file`, the place in the program, to every line.
        pub reportcaller: bool = "false",
        /// The access log on standard output.
        pub accesslog: AccessLogConfig,
        key Key::new("hooks", Kind::List(&Kind::Section(HOOK))).meaning("error if one is enabled").unserved(Unserved {
            below: "",
            asks: any_enabled,
            message: "this version sends no mail on errors; remove the hooks",
        }),
    }
}

const HOOK: &[Key] = &[
    Key::of::<bool>("disabled").or("false"),
    Key::of::<Option<String>>("type"),
    Key::of::<Vec<String>>("levels"),
    Key::new("options", Kind::Optional(MAIL)).field("MAILOPTIONS"),
];
const MAIL: &[Key] = &[
    Key::new("smtp", Kind::Optional(SMTP)),
    Key::of::<Option<String>>("from"),
    Key::of::<Vec<String>>("to"),
];
const SMTP: &[Key] = &[
    Key::of::<Option<String>>("addr"),
    Key::of::<Option<String>>("username"),
    Key::of::<Option<Secret<String>>>("password"),
    Key::of::<bool>("insecure").or("false"),
];

words! {
    /// The severity of a line.
    pub enum LogLevel {
        /// Failures that need action.
        Error = "error",
        /// Oddities that the registry has handled.
        Warn = "warn",
        /// Events, one line per request.
        Info = "info",
        /// Internals.
        Debug = "debug",
    }
}

words! {
    /// The format of a line of the log.
    pub enum LogFormatter {
        /// For people: `time="…" level=info msg="…" key=value`.
        Text = "text",
        /// One JSON object per line, with the keys `time`, `level` and `msg`.
        Json = "json",
        /// One JSON object per line, with the keys `@timestamp`, `@version`, `level` and `message`.
        Logstash = "logstash",
    }
}

section! {
    /// The access log in Apache's combined format, on standard output.
    pub struct AccessLogConfig {
        /// Turns off the access log, which goes to standard output in Apache's combined format.
        pub disabled: bool = "false",
    }
}
