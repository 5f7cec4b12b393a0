//! `http.limits.uploadsperaddress`: the requests that count as uploads.

use axum::body::{Body, Bytes};
use futures::stream;
use sampan::http::HttpOptions;
use sampan::serve::{Peer, PeerAddress, Scheme};

use crate::support::{Server, client::Call};

/// A request from this address.
pub(super) fn from(address: &str, call: Call) -> Call {
    let address = PeerAddress::Tcp(address.parse().unwrap());
    call.extension(Peer { address, scheme: Scheme::Http, client_certificate: None })
}

/// A body that never arrives.
fn pending() -> Body {
    Body::from_stream(stream::pending::<std::io::Result<Bytes>>())
}

#[tokio::test]
async fn a_manifest_in_transfer_counts_as_an_upload_of_its_address() {
    let options = HttpOptions { uploads_per_address: Some(1), ..HttpOptions::default() };
    let server = Server::with_options(options);
    let put = || server.call("PUT", "/v2/a/b/manifests/x");
    let under_way = from("192.0.2.1:1", put().raw_body(pending())).send();
    let others = async {
        from("192.0.2.1:2", put()).send().await.expect_error(429, "TOOMANYREQUESTS");
        let begun = server.call("POST", "/v2/a/b/blobs/uploads/");
        from("192.0.2.1:3", begun).send().await.expect_error(429, "TOOMANYREQUESTS");
        from("192.0.2.1:4", server.call("GET", "/v2/a/b/manifests/x")).send().await.expect(404);
        from("192.0.2.2:1", put()).send().await.expect_error(400, "MANIFEST_INVALID");
    };
    tokio::select! {
        biased;
        answer = under_way => panic!("{answer:?}"),
        () = others => {}
    }
    from("192.0.2.1:5", put()).send().await.expect_error(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn an_ipv6_network_counts_as_one_address() {
    let options = HttpOptions { uploads_per_address: Some(1), ..HttpOptions::default() };
    let server = Server::with_options(options);
    let put = || server.call("PUT", "/v2/a/b/manifests/x");
    let under_way = from("[2001:db8:1:2::1]:1", put().raw_body(pending())).send();
    let others = async {
        from("[2001:db8:1:2::2]:1", put()).send().await.expect_error(429, "TOOMANYREQUESTS");
        from("[2001:db8:1:3::2]:1", put()).send().await.expect_error(400, "MANIFEST_INVALID");
    };
    tokio::select! {
        biased;
        answer = under_way => panic!("{answer:?}"),
        () = others => {}
    }
}
