//! Translates the configuration of the log and of HTTP.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use sampan_config::{Config, LogFormatter, LogLevel};
use tracing::level_filters::LevelFilter;

use super::{AppError, network};
use crate::http::HttpOptions;
use crate::telemetry::{LogFormat, LogOptions};

pub(super) fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

pub(super) fn log_options(config: &Config) -> LogOptions {
    LogOptions {
        level: level_filter(config.log.level),
        format: match config.log.formatter {
            LogFormatter::Text => LogFormat::Text,
            LogFormatter::Json => LogFormat::Json,
            LogFormatter::Logstash => LogFormat::Logstash,
        },
        fields: config.log.fields.clone(),
        caller: config.log.reportcaller,
    }
}

pub(super) fn http_options(config: &Config) -> Result<HttpOptions, AppError> {
    let http = &config.http;
    let mut headers = HeaderMap::new();
    for (name, values) in &http.headers {
        let invalid = || AppError::Header { name: name.clone() };
        let header: HeaderName = name.parse().map_err(|_| invalid())?;
        for value in values {
            headers.append(header.clone(), HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
    }
    Ok(HttpOptions {
        prefix: http.prefix.as_str().parse()?,
        host: http.host.as_ref().map(|host| host.as_url().clone()),
        relative_urls: http.relativeurls,
        headers,
        catalog_max_entries: config.catalog.maxentries.0,
        tags_max: config.tags.maxtags.0,
        redirect: !config.storage.redirect.disable,
        trusted_proxies: network::trusted_proxies(http),
        uploads_per_address: Some(http.limits.uploadsperaddress).filter(|limit| *limit > 0),
        ..HttpOptions::default()
    })
}
