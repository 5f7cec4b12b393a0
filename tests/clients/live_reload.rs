//! Certificates and passwords that change while a client pushes.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Dockerd, Fixture, RegistryProcess, run, tool};

/// Random bytes do not compress: the client needs some seconds for them.
const LAYER_BYTES: usize = 48 << 20;

#[test]
#[ignore = "needs docker, openssl and curl, as root"]
fn a_push_goes_on_while_certificate_and_passwords_are_exchanged() {
    let site = Fixture::new("127.0.0.1");
    site.set_password("alice", "wonderland");
    site.set_password("bob", "builder");
    let registry = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    let docker = Dockerd::start();
    let image = format!("{}/app:1", registry.host());
    let layer: Vec<u8> = (0..LAYER_BYTES).map(|_| rand::random()).collect();
    let (first, second) = layer.split_at(LAYER_BYTES / 2);
    docker.build(&image, &[first, second, b"a third"]);
    docker.run(&["login", "--username=alice", "--password=wonderland", &registry.host()]);
    let old = certificate(&registry);
    assert!(logs_in(&site, &registry, "bob:builder"));

    let mut push = docker.docker();
    let mut push = push.args(["push", &image]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // While an upload is under way and megabytes have arrived.
    while largest_upload(&site.path("data")) < 1 << 20 {
        assert!(push.try_wait().unwrap().is_none(), "the push was over before anything was exchanged");
        std::thread::yield_now();
    }
    // The exchange takes a while, and a fast machine would send the rest meanwhile.
    docker.pause();
    site.certify("127.0.0.1");
    site.set_password("bob", "rebuilt");
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("users and passwords were read again").then_some(()));
    assert_ne!(certificate(&registry), old);
    assert!(logs_in(&site, &registry, "bob:rebuilt"));
    assert!(!logs_in(&site, &registry, "bob:builder"));
    assert!(push.try_wait().unwrap().is_none(), "the push was over before everything was exchanged");
    docker.resume();

    let pushed = push.wait_with_output().unwrap();
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    docker.run(&["rmi", &image]);
    docker.run(&["pull", &image]);
}

/// The certificate that a new connection sees.
fn certificate(registry: &RegistryProcess) -> String {
    let printed = run(tool("openssl").args(["s_client", "-connect", &registry.host()]));
    let begin = printed.find("-----BEGIN CERTIFICATE-----").unwrap();
    printed[begin..printed.find("-----END CERTIFICATE-----").unwrap()].to_owned()
}

fn logs_in(site: &Fixture, registry: &RegistryProcess, credentials: &str) -> bool {
    let mut command: Command = tool("curl");
    command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--user", credentials]);
    command.args(["--cacert", &site.text("certs/ca.crt"), &format!("https://{}/v2/", registry.host())]);
    match run(&mut command).as_str() {
        "200" => true,
        "401" => false,
        other => panic!("{other}"),
    }
}

/// The number of bytes in the largest upload.
fn largest_upload(data: &Path) -> u64 {
    let mut command = tool("find");
    command.arg(data).args(["-path", "*/_uploads/*/data", "-printf", "%s\n"]);
    // An upload may vanish between listing and reading: then find reports that, and fails.
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).max().unwrap_or(0)
}
