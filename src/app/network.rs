//! Makes sockets from the configuration.

use sampan_config::{Config, DebugConfig, HttpConfig, ListenAddress, ProxyNetwork};
use sampan_shown_url::ShownUrl;

use super::AppError;
use crate::http::TrustedProxies;
use crate::serve::tls::TlsReloader;
use crate::serve::{
    Listener, Security, ServeOptions, connections_within, files_for, raise_file_limit, soft_file_limit,
};

/// The limits of the server of `config`, if this process may open `files` files.
pub(super) fn options(config: &Config, files: Option<u64>) -> ServeOptions {
    let HttpConfig { limits, draintimeout, h2c, .. } = &config.http;
    ServeOptions {
        h2c: h2c.enabled,
        header_timeout: limits.headertimeout,
        idle_timeout: limits.idletimeout,
        stall_timeout: limits.readtimeout,
        min_body_speed: limits.minbodyspeed.0,
        max_connections: max_connections(limits.maxconnections, files),
        max_connections_per_network: limits.connectionsperaddress,
        trusted_proxies: trusted_proxies(&config.http).networks,
        drain_timeout: *draintimeout,
        ..ServeOptions::default()
    }
}

/// The number of files that this process may open; `None` means no limit. Raises the soft limit to the hard limit.
pub(super) fn file_limit() -> Option<u64> {
    raise_file_limit().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        soft_file_limit()
    })
}

/// `http.limits.maxconnections`, reduced to the number that the limit of open files allows.
fn max_connections(configured: usize, files: Option<u64>) -> usize {
    let fitting = connections_within(files);
    if configured == 0 {
        return fitting;
    }
    if configured > fitting {
        let files = files.unwrap_or(u64::MAX);
        tracing::warn!(
            files,
            "this process may open {files} files, which is enough for {fitting} connections and not for the \
             {configured} of http.limits.maxconnections: raise the limit (ulimit -Hn, LimitNOFILE, docker run --ulimit \
             nofile) to {} or more, or lower http.limits.maxconnections",
            files_for(configured)
        );
    }
    configured.min(fitting)
}

/// Binds `http.addr`.
pub(super) async fn listener(http: &HttpConfig) -> Result<Listener, AppError> {
    Ok(Listener::bind(&http.addr, "http.addr").await?)
}

/// Binds `http.debug.addr`, if configured, and warns if other machines can reach it.
pub(super) async fn debug_listener(debug: &DebugConfig) -> Result<Option<Listener>, AppError> {
    let Some(configured) = &debug.addr else { return Ok(None) };
    let listener = Listener::bind(configured, "http.debug.addr").await?;
    if listener.local_addr().is_some_and(|address| !address.ip().to_canonical().is_loopback()) {
        tracing::warn!(
            "the debug server on {listener} can be reached from other machines and needs no password: publish its port only \
             to the monitoring, or set http.debug.addr to 127.0.0.1:5001"
        );
    }
    Ok(Some(listener))
}

/// The trusted proxies.
pub(super) fn trusted_proxies(http: &HttpConfig) -> TrustedProxies {
    let mut trusted = TrustedProxies::default();
    for network in &http.trustedproxies {
        match network {
            ProxyNetwork::Unix => trusted.unix = true,
            ProxyNetwork::Ip(network) => trusted.networks.push(*network),
        }
    }
    trusted
}

/// A hint if `http.host` names another port or scheme than the listener's.
pub(super) fn hint(http: &HttpConfig) -> Option<String> {
    let host = http.host.as_ref()?.as_url();
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let ours = match http.addr {
        ListenAddress::Tcp { port, .. } => Some(port).filter(|port| *port != 0),
        ListenAddress::Unix(_) => None,
    };
    let same_port = ours.is_none() || ours == host.port_or_known_default();
    (host.scheme() != scheme || !same_port).then(|| {
        format!(
            "clients are sent to {} (http.host), while this registry speaks {scheme} at {}: make sure that a proxy forwards \
             uploads to this listener",
            ShownUrl::from(host),
            http.addr
        )
    })
}

/// The protection of connections. An unusable TLS section is an error, never a plaintext connection.
pub(super) async fn security(http: &HttpConfig) -> Result<Security, AppError> {
    match &http.tls {
        None => Ok(Security::Plain),
        Some(tls) => Ok(Security::Tls(TlsReloader::load(tls.clone(), http.http2.clone()).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::TestLog;

    #[test]
    fn connections_fit_below_the_limit_of_files() {
        let log = TestLog::default();
        let guard = log.capture();
        assert_eq!(max_connections(4096, None), 4096);
        assert_eq!(max_connections(4096, Some(20_000)), 4096);
        assert_eq!(max_connections(0, Some(20_000)), 9950);
        assert_eq!(log.text(), "");
        assert_eq!(max_connections(4096, Some(1024)), 462);
        drop(guard);
        let text = log.text();
        assert!(text.contains("may open 1024 files") && text.contains("LimitNOFILE"), "{text}");
        assert!(text.contains("to 8292 or more"), "{text}");
    }

    #[test]
    fn a_host_that_is_elsewhere_gets_a_hint() {
        let check = |host: Option<&str>, expected: bool| {
            let host = host.map(|host| host.parse().unwrap());
            let http = HttpConfig { host, ..Config::default().http };
            assert_eq!(hint(&http).is_some(), expected, "{:?}", http.host);
        };
        check(None, false);
        check(Some("http://reg.example:5000"), false);
        check(Some("https://reg.example:5000"), true);
        check(Some("http://reg.example"), true);
    }
}
