//! Servers without TLS.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sampan::config::ListenAddress;
use sampan::serve::{Listener, Security, ServeOptions, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::support::{Running, get_kept, read_to_end};

#[tokio::test]
async fn a_connection_serves_many_requests_and_tells_who_is_there() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    assert_eq!(get_kept(&mut client, "/").await, "hello");
    let peer = get_kept(&mut client, "/peer").await;
    let address = client.local_addr().unwrap();
    assert_eq!(peer, format!("Peer {{ address: Tcp({address}), scheme: Http, client_certificate: None }}"));
    assert_eq!((server.statistics.accepted(), server.statistics.open()), (1, 1));
}

#[tokio::test]
async fn an_upload_refused_unread_still_shows_the_refusal_and_little_of_it_is_read() {
    const ANNOUNCED: usize = 256 << 20;
    let server = Running::start(ServeOptions::default()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let head = format!("POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: {ANNOUNCED}\r\n\r\n");
    let sending = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await.unwrap();
        let (chunk, mut sent) = ([b'x'; 64 * 1024], 0);
        while sent < ANNOUNCED {
            match write.write(&chunk).await {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    });
    let response = read_to_end(&mut read).await;
    assert!(response.starts_with("HTTP/1.1 401 Unauthorized"), "{response}");
    // One megabyte, the bytes read before the answer, and the kernel's buffers at both ends.
    let sent = sending.await.unwrap();
    assert!(sent < ANNOUNCED / 4, "{sent} bytes were taken");
}

/// The status and body of `/peer` over HTTP/2 from the first byte.
async fn http2(server: &Running) -> Result<String, hyper::Error> {
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let request = hyper::Request::get("http://test/peer").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await?;
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn http2_without_tls_works_only_if_configured() {
    let with = Running::start(ServeOptions { h2c: true, ..ServeOptions::default() }).await;
    assert!(http2(&with).await.unwrap().contains("scheme: Http,"));
    assert_eq!(get_kept(&mut with.connect().await, "/").await, "hello", "HTTP/1 is spoken beside it");
    let without = Running::start(ServeOptions::default()).await;
    http2(&without).await.unwrap_err();
}

#[tokio::test]
async fn a_unix_socket_serves_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.sock");
    let listener = Listener::bind(&ListenAddress::Unix(path.clone()), "http.addr").await.unwrap();
    let service = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let server = Server::new(service, ServeOptions::default()).listen(listener, Security::Plain);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    let mut client = UnixStream::connect(&path).await.unwrap();
    assert_eq!(get_kept(&mut client, "/").await, "hello");
    drop(client);
    stop.send(()).unwrap();
    assert_eq!(ended.await.unwrap().aborted, 0);
    assert!(!path.exists());
}
