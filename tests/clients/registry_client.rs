//! Our client of the API against Distribution 2.8, with TLS and Basic, and without the referrers API.

use sampan_client::{ClientOptions, Credentials, Secret, TlsOptions};

use super::support::{ApiClient, Fixture, debian_registry_with, run, tool};

#[test]
#[ignore = "needs docker-registry and htpasswd"]
fn our_client_does_everything_with_distribution() {
    let site = Fixture::new("localhost");
    std::fs::create_dir_all(site.path("auth")).unwrap();
    run(tool("htpasswd").args(["-Bbc", &site.text("auth/htpasswd"), "alice", "wonderland"]));
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:0', tls: {{{}}}}}\n{}\n",
        site.text("data"),
        site.tls(),
        site.auth()
    );
    let server = debian_registry_with(&site.path(""), &config);
    let tls = TlsOptions { authorities: Some(site.path("certs/ca.crt")), ..TlsOptions::default() };
    let credentials = Credentials::password("alice", Secret::new("wonderland"));
    let options = ClientOptions { tls, credentials, ..ClientOptions::default() };
    let client = ApiClient::new(&format!("localhost:{}", server.address.port()), options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(client.round_trip());
}
