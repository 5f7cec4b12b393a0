//! How clients verify the registry and authenticate: private authorities, passwords, client certificates, and none of these.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{Dockerd, Fixture, RegistryProcess, fail, oci_layout, run, tool};

/// A name outside of 127.0.0.0/8, where Docker would trust every server.
const HOST: &str = "registry.test";

/// Makes that name known to the engine alone.
fn etc(site: &Fixture) -> std::path::PathBuf {
    let etc = site.path("etc");
    fs::create_dir_all(etc.join("docker")).unwrap();
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n::1 {HOST}\n")).unwrap();
    etc
}

fn as_docker_knows_it(registry: &RegistryProcess) -> String {
    format!("{HOST}:{}", registry.address.port())
}

/// Puts the files of a client where Docker looks for them.
fn give_to_docker(site: &Fixture, host: &str, client: &str) {
    let folder = site.path("etc/docker/certs.d").join(host);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    run(tool("cp").arg("-r").arg(Path::new(client).join(".")).arg(folder));
}

#[test]
#[ignore = "needs docker, as root"]
fn docker_trusts_a_private_authority_and_proves_itself_by_password_or_certificate() {
    let site = Fixture::new(HOST);
    site.set_password("alice", "wonderland");
    let docker = Dockerd::start_with_etc(&etc(&site));

    let guarded = site.serve(&format!("addr: '[::1]:0', tls: {{{}}}", site.tls()), &site.auth());
    let host = as_docker_knows_it(&guarded);
    let image = format!("{host}/app:1");
    docker.build(&image, &[b"a layer", b"another"]);
    let failed = docker.fail(&["push", &image]);
    assert!(failed.contains("signed by unknown authority"), "{failed}");
    give_to_docker(&site, &host, &site.client("client", false));
    let failed = docker.fail(&["push", &image]);
    assert!(failed.contains("no basic auth credentials"), "{failed}");
    for (user, password) in [("alice", "looking-glass"), ("bob", "wonderland")] {
        let failed = docker.fail(&["login", "--username", user, "--password", password, &host]);
        assert!(failed.contains("401 Unauthorized"), "{failed}");
    }
    docker.run(&["login", "--username=alice", "--password=wonderland", &host]);
    docker.push_and_pull(&image);
    docker.run(&["logout", &host]);
    docker.fail(&["pull", &image]);

    let mutual = site.serve(
        &format!("addr: '[::1]:0', tls: {{{}, clientcas: [{}]}}", site.tls(), site.text("certs/ca.crt")),
        "",
    );
    let host = as_docker_knows_it(&mutual);
    let image_there = format!("{host}/app:1");
    docker.run(&["tag", &image, &image_there]);
    give_to_docker(&site, &host, &site.client("client", false));
    let failed = docker.fail(&["push", &image_there]);
    assert!(failed.contains("certificate required"), "{failed}");
    give_to_docker(&site, &host, &site.client("identified", true));
    docker.run(&["push", &image_there]);
    docker.run(&["rmi", &image_there]);
    docker.run(&["pull", &image_there]);
}

#[test]
#[ignore = "needs docker, as root"]
fn docker_speaks_plain_http_to_whom_it_is_told() {
    let site = Fixture::new(HOST);
    site.set_password("alice", "wonderland");
    let registry = site.serve("addr: '[::1]:0'", &site.auth());
    let host = as_docker_knows_it(&registry);
    let etc = etc(&site);
    let docker = Dockerd::start_with_etc(&etc);
    let image = format!("{host}/app:1");
    docker.build(&image, &[b"a layer"]);
    let failed = docker.fail(&["push", &image]);
    assert!(failed.contains("server gave HTTP response to HTTPS client"), "{failed}");
    // The registry's log names the remedy.
    registry
        .process
        .wait_for(|line| (line.contains("TLS") && line.contains("insecure-registries")).then_some(()));

    fs::write(etc.join("docker/daemon.json"), format!("{{\"insecure-registries\": [\"{host}\"]}}")).unwrap();
    docker.reload();
    let failed = docker.fail(&["push", &image]);
    assert!(failed.contains("no basic auth credentials"), "{failed}");
    docker.run(&["login", "--username=alice", "--password=wonderland", &host]);
    docker.push_and_pull(&image);
}

#[test]
#[ignore = "needs skopeo and umoci"]
fn skopeo_trusts_a_private_authority_and_proves_itself_by_password_or_certificate() {
    let site = Fixture::new("127.0.0.1");
    site.set_password("alice", "wonderland");
    let layout = oci_layout(&site.path(""), "v1", 2);
    let push = |registry: &RegistryProcess, flags: &[&str]| {
        let mut command = tool("skopeo");
        command.args(["copy", "--quiet"]).args(flags).arg(format!("oci:{}:v1", layout.display()));
        command.arg(format!("docker://{}/app:v1", registry.host()));
        command
    };
    let (plain, known) = (site.client("client", false), site.client("identified", true));
    let trusting = format!("--dest-cert-dir={plain}");

    let guarded = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    expect(push(&guarded, &["--dest-creds=alice:wonderland"]), "certificate signed by unknown authority");
    expect(push(&guarded, &[&trusting]), "authentication required");
    expect(push(&guarded, &[&trusting, "--dest-creds=alice:looking-glass"]), "authentication required");
    run(&mut push(&guarded, &[&trusting, "--dest-creds=alice:wonderland"]));

    let cas = site.text("certs/ca.crt");
    let mutual = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}, clientcas: [{cas}]}}", site.tls()), "");
    expect(push(&mutual, &[&trusting]), "certificate required");
    run(&mut push(&mutual, &[&format!("--dest-cert-dir={known}")]));
    let url = format!("https://{}/v2/app/tags/list", mutual.host());
    let curl = || {
        let mut command = tool("curl");
        command.args(["--silent", "--show-error", "--fail", "--cacert", &cas]);
        command
    };
    expect(curl_with(curl(), &[&url]), "certificate required");
    let (cert, key) = (format!("{known}/client.cert"), format!("{known}/client.key"));
    assert!(run(&mut curl_with(curl(), &["--cert", &cert, "--key", &key, &url])).contains("v1"));

    let open = site.serve("addr: '127.0.0.1:0'", "");
    expect(push(&open, &[]), "server gave HTTP response to HTTPS client");
    run(&mut push(&open, &["--dest-tls-verify=false"]));
}

#[test]
#[ignore = "needs podman, skopeo and umoci, as root"]
fn podman_trusts_a_private_authority_and_proves_itself_by_password_or_certificate() {
    let site = Fixture::new("127.0.0.1");
    site.set_password("alice", "wonderland");
    let layout = oci_layout(&site.path(""), "v1", 2);
    fs::write(site.path("logins.json"), "{}").unwrap();
    let podman = |args: &[&str]| {
        let mut command = tool("podman");
        command.args(["--storage-driver=vfs", "--root", &site.text("root"), "--runroot", &site.text("run")]);
        command.env("REGISTRY_AUTH_FILE", site.path("logins.json")).args(args);
        command
    };
    let open = site.serve("addr: '127.0.0.1:0'", "");
    let image = format!("{}/app:v1", open.host());
    run(tool("skopeo")
        .args(["copy", "--quiet", "--dest-tls-verify=false", &format!("oci:{}:v1", layout.display())])
        .arg(format!("docker://{image}")));
    expect(podman(&["pull", &image]), "server gave HTTP response to HTTPS client");
    run(&mut podman(&["pull", "--tls-verify=false", &image]));
    run(&mut podman(&["push", "--tls-verify=false", &image, &format!("{}/again:v1", open.host())]));

    let trusting = format!("--cert-dir={}", site.client("client", false));
    let known = format!("--cert-dir={}", site.client("identified", true));

    let guarded = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    let host = guarded.host();
    let there = format!("{host}/app:v1");
    expect(podman(&["push", &image, &there]), "certificate signed by unknown authority");
    expect(podman(&["push", &trusting, &image, &there]), "authentication required");
    let login = |password: &str| podman(&["login", &trusting, "--username=alice", password, &host]);
    expect(login("--password=looking-glass"), "invalid username/password");
    run(&mut login("--password=wonderland"));
    run(&mut podman(&["push", &trusting, &image, &there]));
    run(&mut podman(&["pull", &trusting, &there]));

    let cas = site.text("certs/ca.crt");
    let mutual = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}, clientcas: [{cas}]}}", site.tls()), "");
    let there = format!("{}/app:v1", mutual.host());
    expect(podman(&["push", &trusting, &image, &there]), "certificate required");
    run(&mut podman(&["push", &known, &image, &there]));
    run(&mut podman(&["pull", &known, &there]));
}

fn curl_with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// Checks that the command fails and prints this, among other text.
#[track_caller]
fn expect(mut command: Command, words: &str) {
    let printed = fail(&mut command);
    assert!(printed.contains(words), "{command:?} does not say {words:?}:\n{printed}");
}
