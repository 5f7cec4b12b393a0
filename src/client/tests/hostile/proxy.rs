//! Proxies of the environment, which a process reads for itself: each case is a process of its own.

use sampan_client::RegistryClient;

use crate::server::{Reply, Server};
use crate::support::{Waits, content, digest, options};

/// Runs `test` in a process with these variables, and says whether this is that process.
fn is_child(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os("SAMPAN_CLIENT_PROXY").is_some() {
        return true;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env("SAMPAN_CLIENT_PROXY", "1")
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    assert!(status.success());
    false
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// The address of the proxy: the parent starts it, so that the child can have it in its environment.
fn with_proxy(test: &str, handler: fn(&crate::server::Seen) -> Reply, check: impl FnOnce(&Server)) -> bool {
    if std::env::var_os("SAMPAN_CLIENT_PROXY").is_some() {
        return true;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let proxy = runtime.block_on(Server::start(handler));
    is_child(test, &[("HTTP_PROXY", &proxy.url()), ("http_proxy", &proxy.url()), ("NO_PROXY", "localhost")]);
    check(&proxy);
    false
}

#[test]
fn a_registry_is_reached_through_the_proxy() {
    let handler = |_: &crate::server::Seen| Reply::new(200);
    let check = |proxy: &Server| assert_eq!(proxy.seen()[0].target, "http://registry.invalid/v2/");
    if with_proxy("proxy::a_registry_is_reached_through_the_proxy", handler, check) {
        run(async {
            let address = "http://registry.invalid".parse().unwrap();
            RegistryClient::new(address, options(&Waits::default())).unwrap().ping().await.unwrap();
        });
    }
}

#[test]
fn a_registry_elsewhere_cannot_lead_to_this_machine() {
    // The registry is not internal as far as the client can know, since the proxy resolves its name.
    let handler = |seen: &crate::server::Seen| match seen.target.as_str() {
        target if target.contains("/by-name") || target.contains("sha256") => {
            Reply::new(302).header("Location", "http://localhost:9/secret")
        }
        _ => Reply::new(302).header("Location", "http://127.0.0.1:9/secret"),
    };
    let check = |proxy: &Server| assert_eq!(proxy.seen().len(), 2);
    if with_proxy("proxy::a_registry_elsewhere_cannot_lead_to_this_machine", handler, check) {
        run(async {
            let address = "http://registry.invalid".parse().unwrap();
            let registry = RegistryClient::new(address, options(&Waits::default())).unwrap();
            let by_address = registry.ping().await.unwrap_err().to_string();
            assert!(by_address.contains("its address is internal"), "{by_address}");
            let repository = registry.repository("a".parse().unwrap());
            let by_name = repository.blob(&digest(&content(1)), None).await.unwrap_err().to_string();
            assert!(by_name.contains("its address is internal"), "{by_name}");
        });
    }
}

#[test]
fn a_redirect_goes_through_the_proxy_too_wherever_the_proxy_is() {
    let handler = |seen: &crate::server::Seen| match seen.target.as_str() {
        "http://store.invalid/blob" => Reply::new(200).body(content(1)),
        _ => Reply::new(302).header("Location", "http://store.invalid/blob"),
    };
    let check = |proxy: &Server| assert_eq!(proxy.seen().len(), 2);
    if with_proxy("proxy::a_redirect_goes_through_the_proxy_too_wherever_the_proxy_is", handler, check) {
        run(async {
            let address = "http://registry.invalid".parse().unwrap();
            let registry = RegistryClient::new(address, options(&Waits::default())).unwrap();
            let repository = registry.repository("a".parse().unwrap());
            let mut blob = repository.blob(&digest(&content(1)), None).await.unwrap().unwrap();
            assert_eq!(blob.next().await.unwrap().unwrap(), content(1));
        });
    }
}
