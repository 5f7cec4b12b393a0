//! The web page over the HTTP layer: where it is, who gets it, its cookies.

mod forms;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sampan::auth::{Htpasswd, ThrottleOptions};
use sampan::http::{HttpOptions, HttpServices, PageGate, PageSlot, TrustedProxies};
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_driver::{ErrorKind, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::{Registry, gc};
use sampan_ui::{SessionKey, Ui, UiSettings};

use crate::support::client::Call;
use crate::support::failing_driver::Misbehaviour;
use crate::support::{Answer, FailingDriver, Server, Setup};

const LOGIN: &str = "/ui/-/login";

/// A registry with the page, over `driver`.
fn page(driver: &Arc<dyn StorageDriver>, gate: PageGate, base: &str, key: &[u8]) -> Ui {
    let settings = UiSettings { base: base.to_owned(), ..UiSettings::default() };
    let registry = Registry::builder(driver.clone()).build();
    Ui::new(registry, Arc::new(gate), settings, SessionKey::derived_from(key))
}

fn open_with(options: HttpOptions, base: &str) -> Server {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let page = PageSlot::new(Some(page(&driver, PageGate::Open, base, b"key")));
    let services = HttpServices { page, ..HttpServices::default() };
    Server::with(Setup { driver, options, services, ..Setup::default() })
}

fn open() -> Server {
    open_with(HttpOptions::default(), "/ui")
}

/// A registry with a password file, and the page.
struct Fixture {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// `ann` and `ben` have the passwords `ann-1` and `ben-1`.
    async fn new(key: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, users(&[("ann", "ann-1"), ("ben", "ben-1")])).unwrap();
        let site = Self::over(file, key).await;
        Self { _folder: folder, ..site }
    }

    /// The same over the password file of another replica.
    async fn over(file: PathBuf, key: &[u8]) -> Self {
        let throttle = ThrottleOptions { first_delay: Duration::ZERO, ..ThrottleOptions::default() };
        let passwords = Arc::new(Htpasswd::open("Registry", file.clone(), throttle).await.unwrap());
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let page = PageSlot::new(Some(page(&driver, PageGate::Passwords(passwords.clone()), "/ui", key)));
        let services = HttpServices { page, ..HttpServices::default() };
        let server = Server::with(Setup { driver, access: passwords, services, ..Setup::default() });
        Self { server, file, _folder: tempfile::tempdir().unwrap() }
    }

    async fn get(&self, cookie: &str) -> Answer {
        browser(&self.server, "GET", "/ui/").header("cookie", cookie).send().await
    }

    async fn log_in(&self, user: &str, password: &str) -> Answer {
        let token = token(&self.get("").await, LOGIN);
        let form = format!("token={token}&user={user}&password={password}&next=/ui/");
        form_of(browser(&self.server, "POST", LOGIN), form).send().await
    }
}

fn users(users: &[(&str, &str)]) -> String {
    let line = |(user, password): &(&str, &str)| format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap());
    users.iter().map(line).collect()
}

/// A request as a browser sends it.
fn browser(server: &Server, method: &str, path: &str) -> Call {
    let call = server.call(method, path).header("host", "registry.example");
    call.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

/// A form from a page of this host.
fn form_of(call: Call, form: impl Into<String>) -> Call {
    let call = call.header("content-type", "application/x-www-form-urlencoded");
    call.header("origin", "http://registry.example").body(form.into())
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The token of the form that is sent to `action`.
fn token(answer: &Answer, action: &str) -> String {
    let page = text(answer);
    let form =
        page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form: {page}"));
    form.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookie(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn only_a_browser_is_led_from_the_root_to_the_page() {
    let server = open();
    let answer = browser(&server, "GET", "/").send().await.expect(302);
    assert_eq!(answer.header("location"), "/ui/");
    assert_eq!((answer.header("vary"), answer.header("cache-control")), ("Accept", "no-cache"));
    for (method, accept) in
        [("GET", "*/*"), ("GET", "application/json"), ("HEAD", "text/html"), ("POST", "text/html")]
    {
        let answer = server.call(method, "/").header("accept", accept).send().await.expect(200);
        assert!(answer.body.is_empty() && !answer.has_header("location"), "{method} {accept}: {answer:?}");
    }
    server.call("GET", "/").send().await.expect(200);
}

#[tokio::test]
async fn without_the_page_nothing_differs() {
    let server = Server::new();
    // The id of a request is its own.
    let call = |call: Call| call.header("x-request-id", "one");
    let with = call(browser(&server, "GET", "/")).send().await.expect(200);
    let without = call(server.call("GET", "/")).send().await.expect(200);
    assert_eq!((&with.headers, &with.body), (&without.headers, &without.body));
    for path in ["/ui", "/ui/", "/ui/-/login"] {
        let (page, other) = (call(browser(&server, "GET", path)), call(browser(&server, "GET", "/other")));
        let (page, other) = (page.send().await.expect(404), other.send().await.expect(404));
        assert_eq!((&page.headers, &page.body), (&other.headers, &other.body), "{path}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_the_page() {
    let server = open();
    let page = text(&browser(&server, "GET", "/ui/").send().await.expect(200));
    let style = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    for path in ["/ui/", style, "/ui/none", "/ui"] {
        let get = browser(&server, "GET", path).send().await;
        let head = browser(&server, "HEAD", path).send().await;
        assert!(head.body.is_empty() && head.status == get.status, "{path}: {head:?}");
        for name in ["content-type", "content-security-policy", "cache-control", "x-content-type-options"] {
            assert_eq!(head.headers.get(name), get.headers.get(name), "{path}: {name}");
        }
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
    let wrong = browser(&server, "PUT", "/ui/").send().await.expect(405);
    assert_eq!(wrong.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn the_page_is_below_the_prefix() {
    let options = HttpOptions { prefix: "/registry".parse().unwrap(), ..HttpOptions::default() };
    let server = open_with(options, "/registry/ui");
    assert_eq!(browser(&server, "GET", "/").send().await.expect(302).header("location"), "/registry/ui/");
    assert_eq!(
        browser(&server, "GET", "/registry/ui").send().await.expect(301).header("location"),
        "/registry/ui/"
    );
    let page = text(&browser(&server, "GET", "/registry/ui/").send().await.expect(200));
    let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let odd: Vec<_> =
        links.filter(|link| !link.starts_with("/registry/ui/") && !link.starts_with('#')).collect();
    assert!(odd.is_empty(), "{odd:?}");
    browser(&server, "GET", "/ui/").send().await.expect(404);
    browser(&server, "GET", "/registry/uix/").send().await.expect(404);
    server.call("GET", "/registry/v2/").send().await.expect(200);
}

#[tokio::test]
async fn without_authentication_the_page_is_open_and_has_no_login() {
    let server = open();
    server.push_image("team/app", "v1", "team/app").await;
    let page = text(&browser(&server, "GET", "/ui/").send().await.expect(200));
    assert!(page.contains("/ui/team/app/-/tags") && !page.contains(LOGIN), "{page}");
    browser(&server, "GET", "/ui/team/app/-/tags/v1").send().await.expect(200);
    browser(&server, "GET", LOGIN).send().await.expect(404);
    // Credentials that nothing asked for change nothing, as with the API.
    browser(&server, "GET", "/ui/").header("authorization", "Basic !").send().await.expect(200);
}

#[tokio::test]
async fn a_session_ends_with_its_password_and_its_user() {
    let site = Fixture::new(b"key").await;
    site.get("").await.expect(401);
    let wrong = site.log_in("ann", "wrong").await.expect(401);
    assert!(!wrong.has_header("set-cookie"));
    let unknown = site.log_in("eve", "wrong").await.expect(401);
    assert_eq!(text(&wrong).replace("\"ann\"", "\"eve\""), text(&unknown), "neither says which was wrong");

    let login = site.log_in("ann", "ann-1").await.expect(303);
    assert_eq!(login.header("location"), "/ui/");
    let set = login.header("set-cookie");
    assert!(
        set.starts_with("sampan=") && set.contains("; HttpOnly; SameSite=Lax") && !set.contains("Secure"),
        "{set}"
    );
    let (ann, ben) = (cookie(&login), cookie(&site.log_in("ben", "ben-1").await.expect(303)));
    let page = text(&site.get(&ann).await.expect(200));
    assert!(page.contains("Logged in as ann"), "{page}");

    tokio::time::pause();
    let change = async |lines: String| {
        std::fs::write(&site.file, lines).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    // The hash of an unchanged password stays.
    let of_ben = std::fs::read_to_string(&site.file).unwrap().lines().nth(1).unwrap().to_owned() + "\n";
    change(users(&[("ann", "ann-2")]) + &of_ben).await;
    site.get(&ann).await.expect(401);
    site.get(&ben).await.expect(200);
    let again = cookie(&site.log_in("ann", "ann-2").await.expect(303));
    site.get(&again).await.expect(200);
    change(of_ben).await;
    site.get(&again).await.expect(401);
    site.get(&ben).await.expect(200);
}

#[tokio::test]
async fn a_login_during_a_change_of_the_password_does_not_outlive_it() {
    let site = Fixture::new(b"key").await;
    tokio::time::pause();
    // It looks at the file, so that the login below begins with what is there now.
    site.log_in("ben", "ben-1").await.expect(303);
    let change = async {
        std::fs::write(&site.file, users(&[("ann", "ann-2")])).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    // The comparison with the old password runs while the file changes.
    let (login, ()) = tokio::join!(site.log_in("ann", "ann-1"), change);
    // A refusal would be right too, and then there would be no session to try.
    let session = cookie(&login.expect(303));
    assert!(session.starts_with("sampan="), "{session}");
    site.get(&session).await.expect(401);
    site.log_in("ann", "ann-1").await.expect(401);
}

#[tokio::test]
async fn scripts_have_their_credentials_instead_of_a_session() {
    let site = Fixture::new(b"key").await;
    let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("ann:{password}")));
    let get = async |authorization: &str| {
        let call = site.server.call("GET", "/ui/").header("accept", "application/json");
        call.header("authorization", authorization).send().await
    };
    get(&basic("ann-1")).await.expect(200);
    for wrong in [basic("wrong"), "Basic !".to_owned(), "Bearer abc".to_owned()] {
        let answer = get(&wrong).await.expect(401);
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
    // A browser sends such credentials by itself, also with a form of another site.
    let call = || browser(&site.server, "POST", "/ui/-/preferences").header("authorization", &basic("ann-1"));
    let page = browser(&site.server, "GET", "/ui/").header("authorization", &basic("ann-1")).send().await;
    let form = format!("token={}&theme=dark", token(&page, "/ui/-/preferences"));
    call().body(form.clone()).send().await.expect(403);
    for origin in ["null", "http://evil.example", "https://registry.example.evil", "registry.example", ""] {
        call().header("origin", origin).body(form.clone()).send().await.expect(403);
    }
    let dark = form_of(call(), form).send().await.expect(303);
    assert!(dark.header("set-cookie").contains("=auto.dark;"), "{dark:?}");
}

#[tokio::test]
async fn replicas_with_one_key_share_sessions() {
    let one = Fixture::new(b"key").await;
    let other = Fixture::over(one.file.clone(), b"key").await;
    let stranger = Fixture::over(one.file.clone(), b"another").await;
    let session = cookie(&one.log_in("ann", "ann-1").await.expect(303));
    assert!(text(&other.get(&session).await.expect(200)).contains("Logged in as ann"));
    stranger.get(&session).await.expect(401);
    // Its form too.
    let token = token(&one.get(&session).await, "/ui/-/logout");
    let logout = browser(&other.server, "POST", "/ui/-/logout").header("cookie", &session);
    let answer = form_of(logout, format!("token={token}")).send().await.expect(303);
    assert!(answer.header("set-cookie").starts_with("sampan=; "), "{answer:?}");
}

#[tokio::test]
async fn a_cookie_is_for_https_alone_if_the_browser_uses_it() {
    let site = Fixture::new(b"key").await;
    let secure =
        |method: &str, path: &str| browser(&site.server, method, path).header("x-forwarded-proto", "https");
    let token = token(&secure("GET", LOGIN).send().await.expect(200), LOGIN);
    let form = format!("token={token}&user=ann&password=ann-1");
    let call = secure("POST", LOGIN).header("origin", "https://registry.example").body(form);
    let login = call.send().await.expect(303);
    let set = login.header("set-cookie");
    assert!(
        set.starts_with("__Host-sampan=") && set.ends_with("; Secure") && set.contains("; Path=/;"),
        "{set}"
    );
    assert!(!set.contains("Domain"), "{set}");
    let session = cookie(&login);
    secure("GET", "/ui/").header("cookie", &session).send().await.expect(200);
    // Neither name stands for the other, so that a cookie set over HTTP is not taken over HTTPS.
    site.get(&session).await.expect(401);
    let plain = cookie(&site.log_in("ann", "ann-1").await.expect(303));
    secure("GET", "/ui/").header("cookie", &plain).send().await.expect(401);
}

#[tokio::test]
async fn a_strangers_word_about_https_does_not_count() {
    let trusted_proxies = TrustedProxies { networks: vec!["192.0.2.0/24".parse().unwrap()], unix: false };
    let server = open_with(HttpOptions { trusted_proxies, ..HttpOptions::default() }, "/ui");
    for (peer, is_secure) in [("192.0.2.7:4000", true), ("198.51.100.1:4000", false)] {
        let address = PeerAddress::Tcp(peer.parse().unwrap());
        let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
        let call = |method: &str, path: &str| {
            let call = browser(&server, method, path).header("x-forwarded-proto", "https");
            call.header("x-forwarded-host", "public.example").extension(peer.clone())
        };
        let token = token(&call("GET", "/ui/").send().await.expect(200), "/ui/-/preferences");
        let host = if is_secure { "public.example" } else { "registry.example" };
        let call = call("POST", "/ui/-/preferences").header("origin", &format!("https://{host}"));
        let answer = call.body(format!("token={token}&theme=dark")).send().await.expect(303);
        assert_eq!(answer.header("set-cookie").contains("Secure"), is_secure, "{answer:?}");
    }
}

#[tokio::test]
async fn a_long_or_strange_cookie_is_no_session() {
    let site = Fixture::new(b"key").await;
    let session = cookie(&site.log_in("ann", "ann-1").await.expect(303));
    for odd in [
        format!("sampan={}", "x".repeat(8 << 10)),
        "sampan=".to_owned(),
        "sampan".to_owned(),
        "sampan=a.b.c.d".to_owned(),
        ";;;=;".to_owned(),
        session.replacen("sampan=", "sampan=x", 1),
        // The first one counts, as browsers send that of the longest path first (RFC 6265, 5.4).
        format!("sampan=x; {session}"),
    ] {
        site.get(&odd).await.expect(401);
    }
    site.get(&format!("other=1; {session}; more=2")).await.expect(200);
    let long = "y".repeat(8 << 10);
    browser(&open(), "GET", "/ui/").header("cookie", &format!("sampan={long}")).send().await.expect(200);
}

/// Without the store, a known survey is shown with its date, and an unknown one is not denied.
#[tokio::test(start_paused = true)]
async fn the_storage_page_keeps_its_figures_while_the_store_is_away() {
    let failing = FailingDriver::new();
    let driver: Arc<dyn StorageDriver> = Arc::new(failing.clone());
    let page = PageSlot::new(Some(page(&driver, PageGate::Open, "/ui", b"key")));
    let services = HttpServices { page, ..HttpServices::default() };
    let server = Server::with(Setup { driver: driver.clone(), services, ..Setup::default() });
    let storage = || browser(&server, "GET", "/ui/-/storage").send();
    failing.be(Misbehaviour::Fails(ErrorKind::Unavailable));
    assert!(!text(&storage().await.expect(503)).contains("first survey"));
    failing.behave();
    let registry = Registry::builder(driver).build();
    gc::collect(&registry, &gc::Options::default()).await.unwrap();
    let later = || tokio::time::advance(Duration::from_secs(16));
    later().await;
    assert!(text(&storage().await.expect(200)).contains("Figures as of"));
    failing.be(Misbehaviour::Fails(ErrorKind::Unavailable));
    later().await;
    assert!(text(&storage().await.expect(200)).contains("Figures as of"));
}
