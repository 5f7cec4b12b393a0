//! Tokens: the built registry, a token server in this process, and real clients between the two.

use std::path::Path;

use super::support::{
    Dockerd, Process, RegistryProcess, TokenServer, filesystem_config, oci_layout, registry, run, tool,
};

fn token_registry(directory: &Path, server: &TokenServer, jwks: &str) -> RegistryProcess {
    let config = filesystem_config(&directory.join("data")) + &server.auth_section(jwks);
    registry(directory, &config)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
#[ignore = "needs docker, as root"]
fn docker_logs_in_pushes_mounts_and_pulls() {
    let directory = tempfile::tempdir().unwrap();
    let server = TokenServer::start();
    let registry = token_registry(directory.path(), &server, &server.jwks_url());
    let docker = Dockerd::start();
    let image = format!("{}/team/app:1.0", registry.host());
    docker.build(&image, &[b"first", b"second"]);
    assert!(!docker.docker().args(["push", &image]).output().unwrap().status.success());

    let wrong =
        docker.docker().args(["login", "-u", "anne", "-p", "wrong", &registry.host()]).output().unwrap();
    assert!(!wrong.status.success());
    docker.run(&["login", "-u", "anne", "-p", "secret", &registry.host()]);
    docker.push_and_pull(&image);
    registry.process.wait_to_say("auth.user.name=anne");

    // For the mount of the same layers into another repository, the client fetches a token for both.
    let other = format!("{}/team/other:1.0", registry.host());
    docker.run(&["tag", &image, &other]);
    let output = docker.run(&["push", &other]);
    assert!(output.contains("Mounted from team/app"), "{output}");
    let asked = server.asked();
    let both = |line: &String| line.contains("team/other:push,pull") && line.contains("team/app:pull");
    assert!(asked.iter().any(both), "{asked:?}");

    docker.run(&["logout", &registry.host()]);
    docker.run(&["login", "-u", "bob", "-p", "secret", &registry.host()]);
    docker.run(&["pull", &image]);
    let refused = docker.docker().args(["push", &image]).output().unwrap();
    assert!(!refused.status.success(), "bob may only pull");
}

#[test]
#[ignore = "needs skopeo, umoci and podman, as root"]
fn skopeo_and_podman_come_with_a_password_and_without() {
    let directory = tempfile::tempdir().unwrap();
    let server = TokenServer::start();
    let jwks = directory.path().join("keys.json");
    std::fs::write(&jwks, server.jwks()).unwrap();
    let registry = token_registry(directory.path(), &server, jwks.to_str().unwrap());
    let layout = oci_layout(directory.path(), "v1", 2);
    let source = format!("oci:{}:v1", layout.display());
    let remote = |repository: &str| format!("docker://{}/{repository}:v1", registry.host());
    let skopeo = |args: &[&str]| tool("skopeo").args(args).output().unwrap();

    let push =
        ["copy", "--dest-tls-verify=false", "--dest-creds", "anne:secret", &source, &remote("team/app")];
    run(tool("skopeo").args(push));
    let refused = skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        "--dest-creds",
        "bob:secret",
        &source,
        &remote("team/app"),
    ]);
    assert!(!refused.status.success());
    run(tool("skopeo").args(["inspect", "--tls-verify=false", "--creds", "bob:secret", &remote("team/app")]));
    assert!(!skopeo(&["inspect", "--tls-verify=false", &remote("team/app")]).status.success());
    let missing = skopeo(&["inspect", "--tls-verify=false", &remote("public/app")]);
    // A user with access learns that the image does not exist.
    assert!(String::from_utf8_lossy(&missing.stderr).contains("unknown"), "{missing:?}");
    run(tool("skopeo").args(["delete", "--tls-verify=false", "--creds", "anne:secret", &remote("team/app")]));
    run(tool("skopeo").args(push));

    let path = |kind: &str| directory.path().join("podman").join(kind).display().to_string();
    let (root, runroot, auth) = (path("root"), path("run"), path("auth.json"));
    let podman = |args: &[&str]| {
        let mut command = tool("podman");
        command.args(["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot]).args(args);
        run(command.env("REGISTRY_AUTH_FILE", &auth))
    };
    podman(&["login", "--tls-verify=false", "-u", "anne", "-p", "secret", &registry.host()]);
    let image = format!("{}/team/app:v1", registry.host());
    podman(&["pull", "--tls-verify=false", &image]);
    let other = format!("{}/team/by/podman:v1", registry.host());
    podman(&["tag", &image, &other]);
    podman(&["push", "--tls-verify=false", &other]);
}

#[test]
#[ignore = "a real process"]
fn a_client_with_too_narrow_a_token_is_told_which_one_to_fetch() {
    let directory = tempfile::tempdir().unwrap();
    let server = TokenServer::start();
    let registry = token_registry(directory.path(), &server, &server.jwks_url());
    let narrow = bearer(&server.token(Some("anne"), &["repository:team/app:pull"]));
    let ask = |method: &str, path: &str, token: &str| {
        registry.wire().send(method, path, &[("Authorization", token)], b"")
    };
    let start = "/v2/team/app/blobs/uploads/?from=team/other&mount=sha256:\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let refused = ask("POST", start, &narrow);
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap().to_owned();
    assert_eq!(
        challenge,
        format!(
            "Bearer realm=\"http://{}/token\",service=\"registry.test\",\
             scope=\"repository:team/app:pull,push repository:team/other:pull\",error=\"insufficient_scope\"",
            server.address
        )
    );
    let scope = challenge.split_once("scope=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let wide = bearer(&server.token(Some("anne"), &scope.split(' ').collect::<Vec<_>>()));
    assert_eq!(ask("POST", start, &wide).status, 202, "there is nothing to mount, so an upload begins");

    assert_eq!(ask("GET", "/v2/", &narrow).status, 200);
    assert_eq!(ask("GET", "/v2/", "Bearer nonsense").status, 401);
    assert_eq!(ask("GET", "/v2/_catalog", &wide).status, 401);
    let catalog = bearer(&server.token(Some("anne"), &["registry:catalog:*"]));
    assert_eq!(ask("GET", "/v2/_catalog", &catalog).status, 200);
    let anonymous = bearer(&server.token(None, &["repository:public/app:pull,push"]));
    assert_eq!(ask("GET", "/v2/public/app/tags/list", &anonymous).status, 404);
    assert_eq!(ask("POST", "/v2/public/app/blobs/uploads/", &anonymous).status, 401);
    assert_eq!(ask("GET", "/v2/public/../team/app/tags/list", &anonymous).status, 400);
    assert_eq!(ask("GET", "/v2/team/app/tags/list", &anonymous).status, 401);
    assert_eq!(ask("DELETE", "/v2/team/app/manifests/x", &wide).status, 401);
    assert!(!registry.process.log().contains(&wide[20..60]), "a token is in the log");
}

#[test]
#[ignore = "real processes and signals"]
fn keys_are_exchanged_while_running() {
    let directory = tempfile::tempdir().unwrap();
    let server = TokenServer::start();
    let jwks = directory.path().join("keys.json");
    std::fs::write(&jwks, server.jwks()).unwrap();
    let registry = token_registry(directory.path(), &server, jwks.to_str().unwrap());
    let check =
        |token: &str| registry.wire().send("GET", "/v2/", &[("Authorization", &bearer(token))], b"").status;
    let old = server.token(Some("anne"), &[]);
    assert_eq!(check(&old), 200);

    server.rotate("second");
    let new = server.token(Some("anne"), &[]);
    assert_eq!(check(&new), 401);
    std::fs::write(&jwks, "{").unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("the old ones remain").then_some(()));
    assert_eq!(check(&old), 200);

    std::fs::write(&jwks, server.jwks()).unwrap();
    // Without a signal: the watch notices the change.
    registry.process.wait_for(|line| line.contains("have changed and are in use").then_some(()));
    assert_eq!((check(&new), check(&old)), (200, 401));
}

#[test]
#[ignore = "needs openssl"]
fn keys_come_over_tls_from_a_server_that_the_file_vouches_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = TokenServer::start();
    let path = |name: &str| directory.path().join(name).display().to_string();
    run(tool(env!("CARGO_BIN_EXE_registry")).args(["certificate", "--out", &path(""), "127.0.0.1"]));
    std::fs::write(path("keys.json"), server.jwks()).unwrap();
    // The server prints its address to standard output, which this test does not read; so it gets a port that was free.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut openssl = tool("openssl");
    openssl.args(["s_server", "-quiet", "-WWW", "-accept", &address.to_string()]);
    openssl.args(["-cert", "domain.crt", "-key", "domain.key", "-cert_chain", "domain.crt"]);
    let _openssl = Process::start(openssl.current_dir(directory.path()));

    let url = format!("https://{address}/keys.json");
    let start = |more: &str| {
        let section = server.auth_section(&url).replace("}}", &format!("{more}}}}}"));
        registry(directory.path(), &(filesystem_config(&directory.path().join("data")) + &section))
    };
    let token = bearer(&server.token(Some("anne"), &[]));
    let check = |registry: &RegistryProcess| {
        registry.wire().send("GET", "/v2/", &[("Authorization", &token)], b"").status
    };
    let trusting = start(&format!(", jwksca: '{}'", path("ca.crt")));
    // The server may not have been up yet; the registry asks again.
    if trusting.process.log().contains("until their keys are available") {
        trusting.process.wait_for(|line| line.contains("read keys for tokens").then_some(()));
    }
    assert_eq!(check(&trusting), 200, "{}", trusting.process.log());
    let suspicious = start("");
    assert_eq!(check(&suspicious), 503, "{}", suspicious.process.log());
    suspicious.process.wait_to_say("certificate");
}
