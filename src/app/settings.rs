//! Translates the configuration of HTTP.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use sampan_config::Config;

use super::{AppError, network};
use crate::http::HttpOptions;

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
