//! The section `log`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::values::words;

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The least severe lines that are written.
    pub level: LogLevel,
    /// What a line looks like.
    pub formatter: LogFormatter,
    /// Added to every line.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Adds the place in the program to every line.
    pub reportcaller: bool,
    /// The access log on standard output.
    pub accesslog: AccessLogConfig,
    /// Mail on errors; not served.
    #[serde(default)]
    pub hooks: Vec<LogHook>,
}

words! {
    /// How severe a line must be to be written.
    pub enum LogLevel {
        /// Failures that need somebody.
        Error = "error",
        /// Oddities that were dealt with.
        Warn = "warn",
        /// What happens, one line a request.
        Info = "info",
        /// What happens inside.
        Debug = "debug",
    }
}

words! {
    /// What a line of the log looks like.
    pub enum LogFormatter {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
        /// One JSON object a line, in the shape that logstash expects.
        Logstash = "logstash",
    }
}

/// The access log in Apache's combined format, on standard output.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AccessLogConfig {
    /// Whether it is left out.
    pub disabled: bool,
}

/// An entry of `log.hooks`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogHook {
    /// Whether the entry is to be passed over.
    pub disabled: bool,
    /// `mail` is the only kind there is.
    pub r#type: Option<String>,
    /// The levels that set it off.
    #[serde(default)]
    pub levels: Vec<String>,
    /// Where the mail goes.
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
    /// The account.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<super::Secret<String>>,
    /// Whether to go without TLS verification.
    pub insecure: bool,
}
