//! What no single key can say: whether the values fit together.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::http::{HttpConfig, Net, TlsVersion};
use super::values::ListenAddress;
use super::{
    AuthConfig, Config, DescriptorCacheKind, Finding, KeySetPlace, Node, NotificationsConfig, RedisConfig,
    TokenConfig,
};

/// The contradictions of a configuration, and its oddities.
pub(crate) fn check(config: &Config, tree: &Node) -> (Vec<Finding>, Vec<Finding>) {
    let mut check = Check { tree, mistakes: Vec::new(), warnings: Vec::new() };
    check.address(&config.http);
    check.headers(&config.http);
    check.tls(&config.http);
    check.debug(&config.http);
    if let AuthConfig::Token(token) = &config.auth {
        check.token(token);
    }
    check.health(config);
    if let Some(notifications) = &config.notifications {
        check.notifications(notifications);
    }
    check.purging(config);
    check.middleware(config);
    check.redis(config);
    check.collection(config);
    check.listings(tree);
    check.policy(config);
    (check.mistakes, check.warnings)
}

struct Check<'a> {
    tree: &'a Node,
    mistakes: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Check<'_> {
    fn address(&mut self, http: &HttpConfig) {
        match (http.net, &http.addr) {
            (Net::Tcp, ListenAddress::Tcp { .. }) | (Net::Unix, ListenAddress::Unix(_)) => {}
            (Net::Tcp, ListenAddress::Unix(path)) => self.mistake(
                "http.addr",
                format!("expected `host:port`, such as `:5000` or `127.0.0.1:5000`, found `{}`", path.display()),
            ),
            (Net::Unix, address) => self.mistake(
                "http.net",
                format!(
                    "with `net: unix`, `http.addr` must be the path of a socket, such as `/run/registry.sock`, \
                     and not `{address}`"
                ),
            ),
        }
    }

    fn headers(&mut self, http: &HttpConfig) {
        for (name, values) in &http.headers {
            let path = format!("http.headers.{name}");
            let fits = HeaderName::try_from(name.as_str()).is_ok()
                && values.iter().all(|value| HeaderValue::try_from(value.as_str()).is_ok());
            if !fits {
                self.mistake(&path, "is not a valid HTTP header".to_owned());
            }
        }
    }

    fn tls(&mut self, http: &HttpConfig) {
        let Some(tls) = &http.tls else { return };
        let chosen = |path| self.tree.at(path).is_some_and(|node| node.origin != super::Origin::Default);
        if tls.clientcas.is_empty() && chosen("http.tls.clientauth") {
            self.warning("http.tls.clientauth", "has no effect without `clientcas`");
        }
        if tls.minimumtls == TlsVersion::Tls13 && !tls.ciphersuites.is_empty() {
            self.warning(
                "http.tls.ciphersuites",
                "has no effect with `minimumtls: tls1.3`, whose suites are fixed",
            );
        }
        if http.h2c.enabled {
            self.warning("http.h2c.enabled", "has no effect with TLS, which negotiates HTTP/2 by itself");
        }
    }

    fn debug(&mut self, http: &HttpConfig) {
        let Some(debug) = &http.debug else { return };
        let path = debug.prometheus.path.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) {
            self.mistake(
                "http.debug.prometheus.path",
                format!("expected a path that begins with a slash, such as `/metrics`, found `{path}`"),
            );
        } else if path.starts_with("/debug/") || path == "/livez" || path == "/readyz" {
            self.mistake(
                "http.debug.prometheus.path",
                format!("`{path}` is another page of the debug server; use `/metrics`"),
            );
        }
    }

    fn token(&mut self, token: &TokenConfig) {
        let is_url = Url::parse(&token.realm).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_url && !token.autoredirect {
            let found = &token.realm;
            let message = format!(
                "expected the URL of the token server, such as `https://auth.example.com/token`, found `{found}`"
            );
            self.mistake("auth.token.realm", message);
        }
        if token.autoredirect && !token.autoredirectpath.starts_with('/') {
            let message =
                format!("expected a path such as `/auth/token`, found `{}`", token.autoredirectpath);
            self.mistake("auth.token.autoredirectpath", message);
        }
        if token.rootcertbundle.is_none() && token.jwks.is_none() {
            let message = "has no key to check tokens with: give `rootcertbundle` or `jwks`";
            self.mistake("auth.token", message.to_owned());
        }
        let is_remote = matches!(token.jwks, Some(KeySetPlace::Url(_)));
        if is_remote && token.jwksrefresh < Duration::from_secs(10) {
            self.mistake("auth.token.jwksrefresh", "must be `10s` at least".to_owned());
        }
        if token.jwksca.is_some() && !is_remote {
            self.warning("auth.token.jwksca", "has no effect, since `jwks` is not a URL");
        }
        let is_symmetric = token.signingalgorithms.iter().any(|algorithm| algorithm.is_symmetric());
        if is_symmetric && !matches!(token.jwks, Some(KeySetPlace::File(_))) {
            self.warning(
                "auth.token.signingalgorithms",
                "has an HMAC algorithm (HS256, HS384, HS512), whose secret can only be in a `jwks` file, and there is none",
            );
        }
    }

    fn middleware(&mut self, config: &Config) {
        let Some(middleware) = &config.middleware else { return };
        for (index, entry) in middleware.storage.iter().enumerate() {
            if let Err(message) = entry.as_storage() {
                let node = self.tree.at("middleware.storage").and_then(|list| list.items().get(index));
                let origin = &node.unwrap_or(self.tree).origin;
                self.mistakes.push(Finding::new(origin, format!("middleware.storage[{index}]"), message));
            }
        }
    }

    /// Each check needs something to look at, and a name of its own, under which its result stands.
    fn health(&mut self, config: &Config) {
        let Some(health) = &config.health else { return };
        let storage = format!("storagedriver_{}", config.storage.driver.name());
        let storage =
            health.storagedriver.enabled.then_some(("health.storagedriver".to_owned(), Some(storage)));
        let file = health.file.iter().map(|check| check.file.clone());
        let http = health.http.iter().map(|check| check.uri.clone());
        let tcp = health.tcp.iter().map(|check| check.addr.clone());
        let at = |list: &str, key: &str, index: usize| format!("health.{list}[{index}].{key}");
        let named = storage
            .into_iter()
            .chain(file.enumerate().map(|(index, name)| (at("file", "file", index), name)))
            .chain(http.enumerate().map(|(index, name)| (at("http", "uri", index), name)))
            .chain(tcp.enumerate().map(|(index, name)| (at("tcp", "addr", index), name)));
        let mut seen = BTreeMap::new();
        for (path, name) in named {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                self.mistake(&path, "is missing; it says what to look at".to_owned());
                continue;
            };
            if let Some(first) = seen.insert(name.clone(), path.clone()) {
                self.mistake(
                    &path,
                    format!("`{name}` is looked at already, by {first}; keep one of the two"),
                );
            }
        }
        for (index, check) in health.http.iter().enumerate() {
            let path = at("http", "uri", index);
            let uri = check.uri.as_deref().unwrap_or_default();
            let is_http = Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !uri.is_empty() && !is_http {
                self.mistake(&path, format!("expected a URL such as `https://example.com/`, found `{uri}`"));
            }
        }
        for (index, check) in health.tcp.iter().enumerate() {
            let address = check.addr.as_deref().unwrap_or_default();
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !address.is_empty() && !has_port {
                let path = at("tcp", "addr", index);
                self.mistake(&path, format!("expected `host:port`, such as `redis:6379`, found `{address}`"));
            }
        }
        if health.diskspace.enabled && config.storage.driver.name() != "filesystem" {
            let driver = config.storage.driver.name();
            self.mistake(
                "health.diskspace.enabled",
                format!("only the storage driver `filesystem` has a disk, and not `{driver}`"),
            );
        }
    }

    fn redis(&mut self, config: &Config) {
        let wanted = config.storage.cache.blobdescriptor == Some(DescriptorCacheKind::Redis);
        let Some(redis) = &config.redis else {
            if wanted {
                let message = "needs the section `redis`, with `addrs: [HOST:PORT]`".to_owned();
                self.mistake("storage.cache.blobdescriptor", message);
            }
            return;
        };
        if !wanted {
            return self.warning("redis", "has no effect without `storage.cache.blobdescriptor: redis`");
        }
        if redis.addrs.is_empty() {
            self.mistake("redis.addrs", "has no server; give `addrs: [HOST:PORT]`".to_owned());
        } else if redis.server().is_none() {
            self.warning(
                "redis.addrs",
                "clusters and sentinels are not served: descriptors are not cached there, which is no less right; give \
                 the address of one server",
            );
        }
        if let Some(tls) = &redis.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            self.mistake("redis.tls", "`certificate` and `key` go together".to_owned());
        }
        let given = self.tree.at("redis").map(Node::entries).unwrap_or_default();
        let idle = given.iter().filter(|entry| {
            !RedisConfig::SERVED.contains(&entry.key.as_str())
                && !entry.value.is_null()
                && entry.value.origin != super::Origin::Default
        });
        for key in idle.map(|entry| entry.key.clone()).collect::<Vec<_>>() {
            self.warning(&format!("redis.{key}"), "has no effect: one connection carries everything");
        }
    }

    fn notifications(&mut self, notifications: &NotificationsConfig) {
        let nodes = self.tree.at("notifications.endpoints").map(Node::items).unwrap_or_default();
        for (index, endpoint) in notifications.endpoints.iter().enumerate() {
            if endpoint.disabled {
                continue;
            }
            let path = format!("notifications.endpoints[{index}]");
            let node = nodes.get(index).unwrap_or(self.tree);
            let mistake = |key: &str, message: String| {
                let origin = &node.at(key).unwrap_or(node).origin;
                Finding::new(origin, format!("{path}.{key}"), message)
            };
            let url = endpoint.url.as_deref().unwrap_or_default();
            let is_url =
                Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !is_url {
                let message = format!(
                    "expected where to post events, such as `https://portal.example.com/events`, found `{url}`"
                );
                self.mistakes.push(mistake("url", message));
            }
            for (name, values) in &endpoint.headers {
                let fits = HeaderName::try_from(name.as_str()).is_ok()
                    && values.iter().all(|value| HeaderValue::try_from(value.expose().as_str()).is_ok());
                if !fits {
                    self.mistakes.push(mistake("headers", format!("`{name}` is not a valid HTTP header")));
                }
            }
        }
    }

    fn purging(&mut self, config: &Config) {
        let purging = &config.storage.maintenance.uploadpurging;
        for (key, value) in [("age", purging.age), ("interval", purging.interval)] {
            if purging.enabled && value.is_zero() {
                self.mistake(
                    &format!("storage.maintenance.uploadpurging.{key}"),
                    "must be longer than nothing; to stop purging set `enabled: false`".to_owned(),
                );
            }
        }
    }

    fn collection(&mut self, config: &Config) {
        const SHORT: Duration = Duration::from_secs(10 * 60);
        let gc = &config.storage.gc;
        let chosen = self.tree.at("storage.gc.grace").is_some();
        if gc.grace().is_zero() {
            self.mistake(
                "storage.gc.grace",
                "must be longer than nothing, since a push may be going on; the default is 24h".to_owned(),
            );
        } else if gc.enabled && gc.grace() < SHORT {
            self.warning(
                "storage.gc.grace",
                "is short: a push that pauses for more than half of it may find what it has sent collected",
            );
        }
        if !gc.enabled && !chosen && self.tree.at("storage.gc.window").is_some() {
            self.warning("storage.gc.window", "has no effect without `enabled: true`");
        }
    }

    /// Distribution takes a negative `maxentries` for the default and refuses a negative `maxtags`.
    fn listings(&mut self, tree: &Node) {
        let negative =
            tree.at("tags.maxtags").and_then(Node::as_text).is_some_and(|text| text.starts_with('-'));
        if negative {
            self.mistake("tags.maxtags", "cannot be negative".to_owned());
        }
    }

    fn policy(&mut self, config: &Config) {
        if config.validation.enabled && config.validation.disabled {
            self.warning("validation.disabled", "has no effect, since `validation.enabled` is true");
        }
    }

    fn mistake(&mut self, path: &str, message: String) {
        let finding = self.finding(path, message);
        self.mistakes.push(finding);
    }

    fn warning(&mut self, path: &str, message: &str) {
        let finding = self.finding(path, message.to_owned());
        self.warnings.push(finding);
    }

    fn finding(&self, path: &str, message: String) -> Finding {
        Finding::new(&self.nearest(path).origin, path, message)
    }

    /// What is at a path, or, if nothing is, at the path above it.
    fn nearest(&self, path: &str) -> &Node {
        let mut path = path;
        loop {
            if let Some(node) = self.tree.at(path) {
                return node;
            }
            let Some((above, _)) = path.rsplit_once('.') else { return self.tree };
            path = above;
        }
    }
}
