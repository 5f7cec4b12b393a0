//! Forms of the web page that are not taken: too large, too many, or while the registry cannot serve.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::stream;
use sampan::health::HealthStatus;
use sampan::http::{HttpOptions, HttpServices, PageGate, PageSlot};
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;

use super::{browser, form_of, open, open_with, page, text, token};
use crate::support::client::Call;
use crate::support::{Answer, Server, Setup};

#[tokio::test]
async fn a_form_has_a_limit() {
    let server = open();
    let token = token(&browser(&server, "GET", "/ui/").send().await, "/ui/-/preferences");
    let form = format!("token={token}&theme=dark&rest=");
    let most = |kib: usize| format!("{form}{}", "x".repeat((kib << 10) - form.len()));
    let call = || browser(&server, "POST", "/ui/-/preferences");
    form_of(call(), most(32)).send().await.expect(303);
    let too_large = form_of(call(), most(32) + "x").send().await.expect(413);
    assert!(!too_large.has_header("set-cookie"));
    let origin = call().header("origin", "http://registry.example");
    origin.chunks([most(32), "x".to_owned()]).send().await.expect(413);
    // A deletion names a page of tags. Without deletion, and with another form's token, it is refused once it was read.
    let delete = || browser(&server, "POST", "/ui/team/app/-/delete");
    form_of(delete(), most(256)).send().await.expect(403);
    form_of(delete(), most(256) + "x").send().await.expect(413);
}

#[tokio::test]
async fn a_form_that_is_not_taken_is_answered_by_a_page_for_browsers() {
    let health = HealthStatus::default();
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let page = PageSlot::new(Some(page(&driver, PageGate::Open, "/ui", b"key")));
    let services = HttpServices { page, health: health.clone(), ..HttpServices::default() };
    let options = HttpOptions { uploads_per_address: Some(0), ..HttpOptions::default() };
    let server = Server::with(Setup { driver, options, services, ..Setup::default() });
    let script = |path: &str| server.call("POST", path).header("accept", "*/*");
    let call = |path: &str| browser(&server, "POST", path).header("accept-language", "zh-HK");
    let is_page = |answer: &Answer, sentence: &str| {
        let page = text(answer);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{page}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{answer:?}");
        assert!(page.contains("<html lang=\"zh-Hant-HK\"") && page.contains(sentence), "{page}");
    };

    let large = "x".repeat((32 << 10) + 1);
    let answer = form_of(call("/ui/-/preferences"), large.clone()).send().await.expect(413);
    is_page(&answer, "表單過大");
    let answer = form_of(script("/ui/-/preferences"), large).send().await.expect(413);
    assert!(answer.json()["error"].is_string() && answer.json()["requestId"].is_string(), "{answer:?}");

    // An address may have no form at all here.
    let address = PeerAddress::Tcp("192.0.2.1:1".parse().unwrap());
    let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
    let answer = call("/ui/-/preferences").extension(peer.clone()).send().await.expect(429);
    is_page(&answer, "請稍後再試");
    assert_eq!(answer.header("retry-after"), "1");
    let answer = script("/ui/-/preferences").extension(peer).send().await.expect(429);
    assert!(answer.json()["errors"].is_array(), "{answer:?}");

    health.fail("storagedriver_filesystem", "disk on fire");
    for method in ["GET", "POST"] {
        let call = browser(&server, method, "/ui/").header("accept-language", "zh-HK");
        let answer = call.send().await.expect(503);
        is_page(&answer, "健康檢查");
        assert!(!text(&answer).contains("disk on fire"), "{answer:?}");
    }
    let answer = server.call("GET", "/ui/").header("accept", "application/json").send().await.expect(503);
    assert!(answer.json()["errors"].is_array(), "{answer:?}");
}

#[tokio::test]
async fn a_form_in_transfer_counts_for_its_address_and_apart_from_uploads() {
    let options = HttpOptions { uploads_per_address: Some(1), ..HttpOptions::default() };
    let server = open_with(options, "/ui");
    let from = |address: &str, call: Call| {
        let address = PeerAddress::Tcp(address.parse().unwrap());
        call.extension(Peer { address, scheme: Scheme::Http, client_certificate: None })
    };
    let form = || browser(&server, "POST", "/ui/-/preferences");
    let pending = || Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
    let under_way = from("192.0.2.1:1", form().raw_body(pending())).send();
    let others = async {
        let refused = from("192.0.2.1:2", form()).send().await.expect(429);
        assert_eq!(refused.header("retry-after"), "1");
        from("192.0.2.1:3", browser(&server, "GET", "/ui/")).send().await.expect(200);
        from("192.0.2.2:1", form()).send().await.expect(403);
        from("192.0.2.1:4", server.call("POST", "/v2/a/b/blobs/uploads/")).send().await.expect(202);
    };
    tokio::select! {
        biased;
        answer = under_way => panic!("{answer:?}"),
        () = others => {}
    }
    from("192.0.2.1:5", form()).send().await.expect(403);
}
