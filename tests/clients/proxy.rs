//! Behind nginx, which terminates TLS: clients must be sent back to where they came from.

use std::fs;
use std::net::{TcpListener, TcpStream};

use super::support::{Process, filesystem_config, oci_layout, registry, run, tool};

#[test]
#[ignore = "needs nginx, skopeo, umoci and curl"]
fn uploads_through_a_tls_proxy_stay_on_the_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    run(tool(env!("CARGO_BIN_EXE_registry")).args(["certificate", "--out", &path("certs"), "127.0.0.1"]));
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    // nginx cannot tell which port it was given, so it is told one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(
        path("nginx.conf"),
        format!(
            "daemon off; pid {pid}; error_log stderr; events {{}}
             http {{
               access_log off; client_max_body_size 0;
               client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
               uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
               server {{
                 listen {address} ssl;
                 ssl_certificate {certs}/domain.crt; ssl_certificate_key {certs}/domain.key;
                 location / {{
                   proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_request_buffering off;
                   proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
                 }}
               }}
             }}",
            pid = path("nginx.pid"),
            tmp = directory.path().display(),
            certs = path("certs"),
            upstream = registry.address,
        ),
    )
    .unwrap();
    let _nginx = Process::start(tool("nginx").args(["-c", &path("nginx.conf"), "-p", &path("")]));
    while TcpStream::connect(address).is_err() {
        std::thread::yield_now();
    }

    fs::create_dir(path("client")).unwrap();
    fs::copy(path("certs/ca.crt"), path("client/ca.crt")).unwrap();
    let layout = oci_layout(directory.path(), "v1", 2);
    run(tool("skopeo")
        .args(["copy", "--quiet", "--dest-cert-dir", &path("client")])
        .args([&format!("oci:{}:v1", layout.display()), &format!("docker://{address}/proxied/app:v1")]));

    // What a client is told, word for word.
    let url = format!("https://{address}/v2/proxied/app/blobs/uploads/");
    let answer = run(tool("curl").args(["-s", "-i", "-X", "POST", "--cacert", &path("certs/ca.crt"), &url]));
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
    assert!(location.starts_with(&url), "{answer}");
}
