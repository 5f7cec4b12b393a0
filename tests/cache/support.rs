//! `World`: a registry with a cache of a scripted upstream, and a clock that only the test moves.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use sampan::http::HttpServices;
use sampan_cache::{CacheSettings, Caches, TagSettings, UpstreamSettings, WhenGone};
use sampan_client::{ClientOptions, Clock, Credentials, Secret, Timeouts};
use sampan_engine::fill::{FillOptions, Fills};
use sampan_engine::oci::Digest;

use crate::support::upstream::{ACCOUNT, SECRET};
use crate::support::{Answer, Server, Setup, Upstream};

/// A registry whose repositories below `up/` are those of an upstream.
pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) server: Server,
    pub(crate) caches: Caches,
    pub(crate) clock: TestClock,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// With other settings of the upstream and of the registry.
    pub(crate) async fn with(change: impl FnOnce(&mut UpstreamSettings, &mut Setup)) -> Self {
        Self::over(FillOptions::default(), change).await
    }

    /// With other transfers, too.
    pub(crate) async fn over(
        fills: FillOptions,
        change: impl FnOnce(&mut UpstreamSettings, &mut Setup),
    ) -> Self {
        let (upstream, clock) = (Upstream::start().await, TestClock::default());
        let mut settings = settings("up", &upstream.url(), &clock);
        let mut setup = Setup::default();
        change(&mut settings, &mut setup);
        let caches = caches_over(fills, vec![settings], None);
        setup.services = HttpServices { caches: Some(caches.clone()), ..HttpServices::default() };
        Self { upstream, server: Server::with(setup), caches, clock }
    }

    /// A request, whose answer has nothing of the upstream's.
    pub(crate) async fn call(&self, method: &str, path: impl AsRef<str>) -> Answer {
        clean(self.server.call(method, path).send().await)
    }

    pub(crate) async fn get(&self, path: impl AsRef<str>) -> Answer {
        self.call("GET", path).await
    }

    pub(crate) async fn head(&self, path: impl AsRef<str>) -> Answer {
        self.call("HEAD", path).await
    }

    /// The manifest of a reference in the repository `up/app`.
    pub(crate) async fn manifest(&self, reference: impl std::fmt::Display) -> Answer {
        self.get(format!("/v2/up/app/manifests/{reference}")).await
    }

    /// A blob of the repository `up/app`, when its transfer has ended.
    pub(crate) async fn blob(&self, digest: &Digest) -> Answer {
        let answer = self.get(format!("/v2/up/app/blobs/{digest}")).await;
        self.settle().await;
        answer
    }

    /// Waits until all transfers have ended.
    pub(crate) async fn settle(&self) {
        while self.caches.fills().running() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Fails the test if the answer has something of an upstream.
#[track_caller]
pub(crate) fn clean(answer: Answer) -> Answer {
    let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
    for secret in [SECRET, "127.0.0.1", "169.254", ACCOUNT.1, "token-"] {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
    for header in ["set-cookie", "x-upstream", "server", "docker-ratelimit-source"] {
        assert!(!answer.has_header(header), "{header} in {text}");
    }
    assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
    answer
}

/// Caches of upstreams.
pub(crate) fn caches(upstreams: Vec<UpstreamSettings>, default: Option<&str>) -> Caches {
    caches_over(FillOptions::default(), upstreams, default)
}

fn caches_over(fills: FillOptions, upstreams: Vec<UpstreamSettings>, default: Option<&str>) -> Caches {
    let settings = CacheSettings {
        upstreams,
        default: default.map(str::to_owned),
        local: Arc::new(|name| name == "team" || name.starts_with("team/")),
        offline: false,
    };
    Caches::new(settings, Fills::new(fills)).unwrap()
}

/// An upstream below a prefix that is its name.
pub(crate) fn settings(name: &str, url: &str, clock: &TestClock) -> UpstreamSettings {
    UpstreamSettings {
        name: name.to_owned(),
        address: url.parse().unwrap(),
        prefix: Some(name.parse().unwrap()),
        ns: vec![format!("{name}.example")],
        hosts: vec![format!("{name}.mirror.example")],
        library: false,
        path: None,
        allowed: Arc::new(|_| true),
        tags: TagSettings {
            fresh: Duration::from_secs(30),
            stale: None,
            deleted: WhenGone::Keep,
            refused: WhenGone::Forget,
            immutable: Arc::new(|tag| tag.as_str().starts_with('v')),
            missing: Duration::from_secs(30),
        },
        client: ClientOptions { clock: clock.clock(), ..ClientOptions::default() },
        connections: 16,
        requests_per_second: 0,
        bytes_per_second: 0,
        complete: Duration::ZERO,
    }
}

/// Does not wait long for silent upstreams.
pub(crate) fn impatient(settings: &mut UpstreamSettings) {
    // A busy machine needs a part of it for a good answer.
    let short = Duration::from_secs(1);
    settings.client.timeouts = Timeouts { answer: short, stall: short, ..Timeouts::default() };
}

/// Logs in at the upstream.
pub(crate) fn with_account(settings: &mut UpstreamSettings) {
    settings.client.credentials = Credentials::password(ACCOUNT.0, Secret::new(ACCOUNT.1));
}

/// A clock that moves by waits and by the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestClock(Arc<Mutex<Duration>>);

impl TestClock {
    pub(crate) fn advance(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }

    /// Since the beginning of the test.
    pub(crate) fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    pub(crate) fn clock(&self) -> Clock {
        let (now, wait) = (self.clone(), self.clone());
        Clock::new(
            move || now.elapsed() + Duration::from_secs(1000),
            || SystemTime::UNIX_EPOCH,
            move |duration| {
                wait.advance(duration);
                Box::pin(tokio::task::yield_now())
            },
        )
    }
}
