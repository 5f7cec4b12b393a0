//! Behind nginx, which terminates TLS: the registry must send clients back to the address that they used.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::support::{Dockerd, Fixture, Process, oci_layout, run, tool};

/// An nginx before a registry.
struct Proxy {
    address: SocketAddr,
    _process: Process,
}

impl Proxy {
    /// Starts nginx with the certificate of a site; `locations` are its rules.
    #[track_caller]
    fn start(site: &Fixture, locations: &str) -> Self {
        // nginx cannot report a port that the kernel chose, so it gets one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(
            site.path("nginx.conf"),
            format!(
                "daemon off; pid {tmp}/nginx.pid; error_log stderr; events {{}}
                 http {{
                   access_log off; client_max_body_size 0;
                   client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
                   uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
                   proxy_http_version 1.1; proxy_request_buffering off;
                   proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
                   server {{
                     listen {address} ssl;
                     ssl_certificate {tmp}/certs/domain.crt; ssl_certificate_key {tmp}/certs/domain.key;
                     {locations}
                   }}
                 }}",
                tmp = site.text(""),
            ),
        )
        .unwrap();
        let process =
            Process::start(tool("nginx").args(["-c", &site.text("nginx.conf"), "-p", &site.text("")]));
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { address, _process: process }
    }

    /// The `Location` of an upload that began at this path, word for word.
    #[track_caller]
    fn location(&self, site: &Fixture, path: &str) -> String {
        let url = format!("https://{}{path}", self.address);
        let answer =
            run(tool("curl").args(["-s", "-i", "-X", "POST", "--cacert", &site.text("certs/ca.crt"), &url]));
        answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default().to_owned()
    }
}

/// Pushes with skopeo, which checks the certificate, and pulls with Docker.
#[track_caller]
fn push_and_pull(site: &Fixture, host: SocketAddr) {
    let layout = oci_layout(&site.path(""), "v1", 2);
    let image = format!("{host}/proxied/app:v1");
    run(tool("skopeo")
        .args(["copy", "--quiet", "--dest-cert-dir", &site.client("client", false)])
        .args([&format!("oci:{}:v1", layout.display()), &format!("docker://{image}")]));
    let docker = Dockerd::start();
    docker.run(&["pull", &image]);
    let again = format!("{host}/proxied/again:v1");
    docker.build(&again, &[b"something of its own"]);
    docker.run(&["push", &again]);
}

#[test]
#[ignore = "needs nginx, docker, skopeo, umoci and curl, as root"]
fn uploads_through_a_tls_proxy_stay_on_the_proxy() {
    let site = Fixture::new("127.0.0.1");
    let registry = site.serve("addr: '127.0.0.1:0'", "");
    let proxy = Proxy::start(&site, &format!("location / {{ proxy_pass http://{}; }}", registry.host()));
    push_and_pull(&site, proxy.address);
    let uploads = "/v2/proxied/app/blobs/uploads/";
    let location = proxy.location(&site, uploads);
    assert!(location.starts_with(&format!("https://{}{uploads}", proxy.address)), "{location}");
}

#[test]
#[ignore = "needs nginx, docker, skopeo, umoci and curl, as root"]
fn a_registry_with_a_prefix_sends_uploads_below_it() {
    let site = Fixture::new("127.0.0.1");
    let registry = site.serve("addr: '127.0.0.1:0', prefix: /images/", "");
    // Clients only know `/v2/`; every `Location` that they get there is below the prefix.
    let proxy = Proxy::start(
        &site,
        &format!(
            "location /v2/ {{ proxy_pass http://{upstream}/images/v2/; }}
             location /images/ {{ proxy_pass http://{upstream}; }}",
            upstream = registry.host()
        ),
    );
    push_and_pull(&site, proxy.address);
    let location = proxy.location(&site, "/v2/proxied/app/blobs/uploads/");
    let expected = format!("https://{}/images/v2/proxied/app/blobs/uploads/", proxy.address);
    assert!(location.starts_with(&expected), "{location}");
}
