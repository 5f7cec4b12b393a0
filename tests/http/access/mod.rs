//! Rules, the token endpoint, and access tokens: who may do what, by which credentials.

mod cache_hosts;
mod credentials;
mod forged;
mod hidden;
mod own_tokens;
mod page;
mod rules;
mod token_store;
mod tokens;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sampan::auth::{
    AccessTokens, Audit, Guard, GuardSettings, Htpasswd, LivePolicy, PolicyFile, ThrottleOptions,
    TokenRecord, TokenSecret, rfc3339,
};
use sampan::http::{HttpOptions, HttpServices, PageGate, PageSlot};
use sampan::serve::{ClientCertificate, Peer, PeerAddress, Scheme};
use sampan_config::CertificateName;
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::{Limits, Registry};
use sampan_ui::{CannotCollect, Collections, Housekeeping, SessionKey, Ui, UiSettings};
use serde_json::Value;

use crate::support::client::Call;
use crate::support::{Answer, Server, Setup, policy_file};

static RULES: LazyLock<String> = LazyLock::new(policy_file);

const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "Dave"];

/// A collector that takes each request, and does nothing.
#[derive(Debug)]
struct IdleCollector;

impl Housekeeping for IdleCollector {
    fn collections(&self) -> Collections {
        Collections {
            schedule: None,
            grace: Duration::ZERO,
            delete_untagged: false,
            read_only: false,
            requested: false,
            running: None,
            last: Vec::new(),
        }
    }

    fn collect(&self) -> Result<(), CannotCollect> {
        Ok(())
    }

    fn dry_run(&self) -> Result<(), CannotCollect> {
        Ok(())
    }
}

/// A registry with rules.
struct Fixture {
    server: Server,
    guard: Arc<Guard>,
    folder: tempfile::TempDir,
}

/// How a site differs from the usual one.
struct Plan {
    rules: &'static str,
    driver: Arc<dyn StorageDriver>,
    signing_key: Option<PathBuf>,
    certificates: Vec<CertificateName>,
    has_passwords: bool,
    options: HttpOptions,
    caches: Option<sampan_cache::Caches>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rules: &RULES,
            driver: Arc::new(InMemoryDriver::new()),
            signing_key: None,
            certificates: Vec::new(),
            has_passwords: true,
            options: HttpOptions::default(),
            caches: None,
        }
    }
}

impl Fixture {
    async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    async fn with(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let users =
            USERS.map(|user| format!("{user}:{}\n", bcrypt::hash(format!("{user}-password"), 4).unwrap()));
        std::fs::write(path("htpasswd"), users.concat()).unwrap();
        std::fs::write(path("access.yml"), plan.rules).unwrap();
        let throttle = ThrottleOptions { first_delay: Duration::ZERO, ..ThrottleOptions::default() };
        let passwords = match plan.has_passwords {
            true => Some(Arc::new(Htpasswd::open("Registry", path("htpasswd"), throttle).await.unwrap())),
            false => None,
        };
        let registry = Registry::builder(plan.driver.clone()).build();
        let audit = Audit::to_file(path("audit.log")).unwrap();
        let policy = PolicyFile::open(path("access.yml"), audit.clone()).await.unwrap();
        let guard = Guard::open(GuardSettings {
            policy: LivePolicy::File(policy),
            passwords,
            tokens: AccessTokens::new(registry),
            service: "here".to_owned(),
            lifetime: Duration::from_secs(300),
            signing_key: plan.signing_key,
            certificates: plan.certificates,
            audit,
        });
        let guard = Arc::new(guard.await.unwrap());
        let gate = Arc::new(PageGate::Rules(guard.clone()));
        let limits = Limits { delete: true, ..Limits::default() };
        let registry = Registry::builder(plan.driver.clone()).limits(limits).build();
        let ui = Ui::new(registry, gate, UiSettings::default(), SessionKey::derived_from(b"page"));
        let ui = ui.with_housekeeping(Arc::new(IdleCollector));
        let services = HttpServices {
            guard: Some(guard.clone()),
            page: PageSlot::new(Some(ui)),
            caches: plan.caches,
            ..HttpServices::default()
        };
        let access = guard.clone();
        let (driver, options) = (plan.driver, plan.options);
        let server = Server::with(Setup { access, services, driver, options, ..Setup::default() });
        Self { server, guard, folder }
    }

    /// A request to `registry.example`.
    fn call(&self, method: &str, path: &str) -> Call {
        self.server.call(method, path).header("host", "registry.example")
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> Answer {
        let call = self.call("GET", path);
        match authorization {
            Some(authorization) => call.header("authorization", authorization).send().await,
            None => call.send().await,
        }
    }

    /// Pushes an empty blob.
    async fn push(&self, name: &str, authorization: &str) -> u16 {
        let path = format!("/v2/{name}/blobs/uploads/?digest={EMPTY}");
        self.call("POST", &path).header("authorization", authorization).body("").send().await.status.as_u16()
    }

    async fn delete(&self, name: &str, authorization: &str) -> u16 {
        let call = self.call("DELETE", &format!("/v2/{name}/blobs/{EMPTY}"));
        call.header("authorization", authorization).send().await.status.as_u16()
    }

    /// A bearer token for `authorization`, and what it grants.
    async fn token(&self, authorization: Option<&str>, scopes: &[&str]) -> (String, String) {
        let scopes: Vec<String> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
        let answer = self.get(&format!("/auth/token?service=here&{}", scopes.join("&")), authorization).await;
        let answer = answer.expect(200);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body: Value = answer.json();
        assert_eq!(body["token"], body["access_token"]);
        assert_eq!(body["expires_in"], 300);
        assert!(body.get("issued_at").is_none());
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        (format!("Bearer {}", text("token")), text("scope"))
    }

    /// The record, when it has this many lines: a thread of its own writes it.
    async fn recorded(&self, count: usize) -> Vec<Value> {
        loop {
            let text = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
            if text.lines().count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::task::yield_now().await;
        }
    }

    /// The events of these names in the record, when it has so many.
    async fn recorded_of(&self, names: &[&str], count: usize) -> Vec<Value> {
        loop {
            let events = self.recorded(1).await.into_iter();
            let events: Vec<Value> =
                events.filter(|event| names.iter().any(|name| event["event"] == *name)).collect();
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Creates an access token, and returns its secret.
    async fn access_token(&self, may: &str, on: &str, on_behalf_of: Option<&str>) -> TokenSecret {
        self.token_named("ci", may, on, on_behalf_of, None).await
    }

    /// The same with a name and an end; `None` is never.
    async fn token_named(
        &self,
        name: &str,
        may: &str,
        on: &str,
        on_behalf_of: Option<&str>,
        ends: Option<SystemTime>,
    ) -> TokenSecret {
        let secret = TokenSecret::random();
        let record = TokenRecord {
            name: name.to_owned(),
            note: String::new(),
            may: vec![may.to_owned()],
            on: vec![on.to_owned()],
            except: Vec::new(),
            on_behalf_of: on_behalf_of.map(str::to_owned),
            created: rfc3339(Some(SystemTime::now())),
            created_by: String::new(),
            expires: rfc3339(ends),
            sha256: secret.hash(),
        };
        let record = serde_json::to_vec(&record).unwrap();
        self.server.registry.create_access_token(secret.id(), record.into()).await.unwrap();
        secret
    }
}

/// A part of the paths of access tokens.
const TOKENS: &str = "/sampan/access/tokens/";

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The credentials of a user of the site.
fn user(name: &str) -> String {
    basic(name, &format!("{name}-password"))
}

fn challenges(answer: &Answer) -> Vec<String> {
    let challenges = answer.headers.get_all("www-authenticate").iter();
    challenges.map(|challenge| challenge.to_str().unwrap().to_owned()).collect()
}

impl Fixture {
    /// A repository with a tag.
    async fn server_image(&self, name: &str) {
        let config = Server::with(Setup { driver: self.server.driver(), ..Setup::default() });
        config.push_image(name, "v1", name).await;
    }
}
