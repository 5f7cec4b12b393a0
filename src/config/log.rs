//! The section `log`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::values::words;

/// The level, the format and the fields of the log.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// The format of a line.
    pub formatter: LogFormatter,
    /// Fields of every line.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Whether every line names its place in the source.
    pub reportcaller: bool,
    /// The access log on standard output.
    pub accesslog: AccessLogConfig,
    /// Mail on errors; not supported.
    #[serde(default)]
    pub hooks: Vec<LogHook>,
}

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
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
        /// One JSON object per line, in the format that logstash expects.
        Logstash = "logstash",
    }
}

/// The access log in Apache's combined format, on standard output.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AccessLogConfig {
    /// Whether the access log is off.
    pub disabled: bool,
}

/// An entry of `log.hooks`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogHook {
    /// Whether to ignore the entry.
    pub disabled: bool,
    /// The kind of hook; `mail` is the only one.
    pub r#type: Option<String>,
    /// The levels that trigger the hook.
    #[serde(default)]
    pub levels: Vec<String>,
    /// The settings of the mail.
    pub options: Option<MailOptions>,
}

/// The mail of a [`LogHook`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MailOptions {
    /// The mail server.
    pub smtp: Option<SmtpConfig>,
    /// The sender.
    pub from: Option<String>,
    /// The recipients.
    #[serde(default)]
    pub to: Vec<String>,
}

/// The mail server of [`MailOptions`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Host and port.
    pub addr: Option<String>,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<super::Secret<String>>,
    /// Whether to skip TLS verification.
    pub insecure: bool,
}
