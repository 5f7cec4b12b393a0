//! Translates the configuration of HTTP.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use sampan_config::Config;
use url::Url;

use super::{AppError, network};
use crate::http::HttpOptions;

/// The URL that paths are appended to: Distribution, too, leaves out its query and fragment.
fn base_url(mut host: Url) -> Url {
    host.set_query(None);
    host.set_fragment(None);
    host
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
        host: http.host.as_ref().map(|host| base_url(host.as_url().clone())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_that_paths_are_appended_to_ends_with_a_path() {
        for text in ["https://r.example/sub?x=1", "https://r.example/sub#f"] {
            assert_eq!(base_url(text.parse().unwrap()).as_str(), "https://r.example/sub");
        }
    }
}
