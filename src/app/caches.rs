//! Makes the caches of other registries from the configuration.

use std::sync::Arc;

use sampan_cache::{CacheSettings, Caches, NameRule, TagRule, TagSettings, UpstreamSettings, WhenGone};
use sampan_client::{
    ClientOptions, Credentials, Limits, PlainHttp, RetryPolicy, Secret, Timeouts, TlsOptions, Verification,
};
use sampan_config::{
    CacheUpstream, Config, ProxyConfig, RegistryHost, RepositoryPattern, UpstreamAccount,
    UpstreamRepositories,
};
use sampan_engine::Registry;
use sampan_engine::fill::{Admission, FillOptions, Fills};
use sampan_engine::oci::{RepositoryName, Tag};

use super::{AppError, collection};
use crate::auth::{PolicyTooLarge, name_matcher};
use crate::blocking::on_blocking_pool;

/// Why the caches cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CacheSetupError {
    /// Patterns.
    #[error(transparent)]
    Patterns(#[from] PolicyTooLarge),
    /// A name or an address.
    #[error("upstream {upstream}: {problem}")]
    Name {
        /// The upstream's name.
        upstream: String,
        /// The fault.
        problem: String,
    },
    /// A certificate.
    #[error("upstream {upstream}")]
    Client {
        /// The upstream's name.
        upstream: String,
        /// The cause.
        source: sampan_client::http_client::HttpClientError,
    },
}

/// The caches of `config`; `None` if it has none.
///
/// # Errors
///
/// A pattern, an address or a certificate cannot be used.
pub async fn caches_if_configured(config: &Config) -> Result<Option<Caches>, AppError> {
    caches_within(config, Admission::default()).await
}

/// The same, whose store takes what `admission` admits within the bounds of `config`.
pub(super) async fn caches_within(config: &Config, admission: Admission) -> Result<Option<Caches>, AppError> {
    let Some(proxy) = config.proxy.as_ref().filter(|proxy| proxy.is_cache()) else { return Ok(None) };
    let upstreams = upstreams(config, proxy)?;
    let settings = CacheSettings {
        upstreams,
        default: proxy.default.clone(),
        local: rule(&proxy.local)?,
        offline: proxy.offline,
    };
    let fills = Fills::new(FillOptions {
        spool: proxy.spool.clone(),
        write_timeout: proxy.write_timeout(),
        admission: admission.bounds(collection::bounds(config)),
        ..FillOptions::default()
    });
    let opened = on_blocking_pool(move || Caches::new(settings, fills)).await;
    let caches = opened.map_err(|(upstream, source)| CacheSetupError::Client { upstream, source })?;
    for upstream in caches.upstreams() {
        let place = upstream.prefix().map_or("everything here".to_owned(), |prefix| format!("{prefix}/"));
        tracing::info!(upstream = upstream.name(), "{place} is a cache of upstream {}", upstream.name());
    }
    Ok(Some(caches))
}

/// The upstreams of `proxy`. A manifest of theirs may be as long as one that is pushed.
fn upstreams(config: &Config, proxy: &ProxyConfig) -> Result<Vec<UpstreamSettings>, CacheSetupError> {
    let manifest_bytes = config.http.limits.maxmanifestsize.0;
    proxy.resolved_upstreams().into_iter().map(|config| upstream(config, manifest_bytes)).collect()
}

/// Warns of repositories that clients do not reach any more, since their names became those of an upstream's. Walks over the
/// names of all repositories, once.
pub(super) async fn warn_of_hidden(caches: Caches, registry: Registry) {
    const MAX_NAMED: usize = 10;
    match registry.catalog_of(None, MAX_NAMED, |name| caches.hides(name)).await {
        Ok(hidden) if hidden.items.is_empty() => {}
        Ok(hidden) => {
            let more = if hidden.has_more { " and more" } else { "" };
            let names = hidden.items.join(", ");
            tracing::warn!(
                "proxy.default: clients that ask for {names}{more} get what the upstream has: name them in `proxy.local`"
            );
        }
        Err(error) => tracing::warn!(%error, "cannot check whether `proxy.default` hides repositories"),
    }
}

fn upstream(config: CacheUpstream, manifest_bytes: u64) -> Result<UpstreamSettings, CacheSetupError> {
    let wrong = |problem: String| CacheSetupError::Name { upstream: config.name.clone(), problem };
    let name = |text: &String| text.parse::<RepositoryName>().map_err(|error| wrong(error.to_string()));
    let hosts = |hosts: &[RegistryHost]| hosts.iter().map(|host| host.as_str().to_owned()).collect();
    let credentials = credentials(&config.account);
    let immutable = config.tags.immutable.clone();
    let gone = |rule| match rule {
        sampan_config::WhenGone::Keep => WhenGone::Keep,
        sampan_config::WhenGone::Forget => WhenGone::Forget,
    };
    Ok(UpstreamSettings {
        address: config.url.as_str().parse().map_err(|error| wrong(format!("{error}")))?,
        prefix: config.prefix.as_ref().map(name).transpose()?,
        ns: hosts(&config.ns),
        hosts: hosts(&config.hosts),
        library: config.library,
        path: config.path.as_ref().map(name).transpose()?,
        allowed: allowed(&config.repositories)?,
        tags: TagSettings {
            fresh: config.tags.fresh,
            stale: config.tags.stale,
            deleted: gone(config.tags.deleted),
            refused: gone(config.tags.refused),
            immutable: Arc::new(move |tag: &Tag| {
                immutable.iter().any(|pattern| pattern.as_regex().is_match(tag.as_str()))
            }) as TagRule,
            missing: config.tags.missing,
        },
        client: ClientOptions {
            credentials,
            tls: TlsOptions {
                authorities: config.ca.clone(),
                client_certificate: config.clientcertificate.clone(),
                client_key: config.clientkey.clone(),
                verification: Verification::Full,
            },
            plain_http: PlainHttp::WhenNamed,
            trusted_realms: config.realms.clone(),
            redirect_hosts: config.redirects.clone(),
            retry: RetryPolicy::NONE,
            timeouts: Timeouts {
                connect: config.timeouts.connect,
                answer: config.timeouts.answer,
                stall: config.timeouts.stall,
                ..Timeouts::default()
            },
            limits: Limits { manifest_bytes, ..Limits::default() },
            ..ClientOptions::default()
        },
        connections: config.connections,
        requests_per_second: config.requests.unwrap_or(0),
        bytes_per_second: config.bandwidth.unwrap_or(0),
        complete: config.complete,
        name: config.name,
    })
}

fn credentials(account: &UpstreamAccount) -> Credentials {
    match account {
        UpstreamAccount::Anonymous => Credentials::anonymous(),
        UpstreamAccount::Password { user, password } => {
            Credentials::password(user, Secret::new(password.expose()))
        }
        UpstreamAccount::PasswordFile { user, path } => Credentials::password_file(user, path),
        UpstreamAccount::Exec { command, lifetime } => Credentials::helper(command, *lifetime),
        UpstreamAccount::DockerConfig(path) => Credentials::files(vec![path.clone()]),
    }
}

fn rule(patterns: &[RepositoryPattern]) -> Result<NameRule, CacheSetupError> {
    Ok(Arc::new(name_matcher(patterns)?))
}

/// Without `allow`, everything that `deny` does not name.
fn allowed(rules: &UpstreamRepositories) -> Result<NameRule, CacheSetupError> {
    let (allow, deny) = (rule(&rules.allow)?, rule(&rules.deny)?);
    let allows_all = rules.allow.is_empty();
    Ok(Arc::new(move |name| (allows_all || allow(name)) && !deny(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_config::{Environment, Source};

    /// Fails if large manifests can be pushed here and not be pulled through a cache.
    #[test]
    fn a_cache_takes_manifests_as_long_as_those_that_are_pushed() {
        let text = "version: 0.1
storage: {inmemory: {}}
http: {limits: {maxmanifestsize: 16MiB}}
proxy: {upstreams: [{name: hub, url: 'https://registry-1.docker.io'}]}
";
        let source = Source::Text { name: "config.yml".to_owned(), text: text.to_owned() };
        let config = Config::load(source, &Environment::default()).unwrap().config;
        let upstreams = upstreams(&config, config.proxy.as_ref().unwrap()).unwrap();
        assert_eq!(upstreams[0].client.limits.manifest_bytes, 16 << 20);
    }
}
