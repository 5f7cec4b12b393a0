//! Rules and the registry's own tokens, with real clients over TLS: each with its own way to ask for a token.

mod ctr;
mod logins;
mod page;
mod replicas;

use std::time::{Duration, Instant};

use super::support::{Dockerd, Guarded, oci_layout, registry, run, tool};
use crate::support::access_section;

/// A registry with rules; crane has pushed an image as carol where each client looks for it.
fn start() -> Guarded {
    let guarded = Guarded::start_with(&["alice", "carol", "dave"], access_section());
    oci_layout(&guarded.path(""), "v1", 2);
    guarded.log_in_as("crane", "auth login --username USER --password-stdin HOST", "carol");
    for name in ["public/app:v1", "team/app:v1", "secret/app:v1"] {
        guarded.run("crane", &format!("push layout {}", guarded.name(name)));
    }
    guarded.run("crane", &format!("auth logout {}", guarded.host()));
    guarded
}

#[test]
#[ignore = "needs crane and umoci"]
fn crane_sees_and_does_what_the_rules_give() {
    let guarded = start();
    let crane = |arguments: &str| guarded.run("crane", arguments);
    let fail = |arguments: &str| guarded.fail("crane", arguments);
    let name = |rest: &str| guarded.name(rest);
    crane(&format!("digest {}", name("public/app:v1")));
    assert_eq!(crane(&format!("catalog {}", guarded.host())), "public/app");
    for missing in ["team/app:v1", "team/not-there:v1"] {
        let failed = fail(&format!("digest {}", name(missing)));
        assert!(failed.contains("UNAUTHORIZED") || failed.contains("401"), "{failed}");
    }
    guarded.log_in_as("crane", "auth login --username USER --password-stdin HOST", "alice");
    crane(&format!("copy {} {}", name("public/app:v1"), name("team/copy:v1")));
    crane(&format!("copy {} {}", name("team/app:v1"), name("home/alice/app:v1")));
    let failed = fail(&format!("push layout {}", name("library/app:v1")));
    assert!(failed.contains("alice may not push to library/app"), "{failed}");
    let failed = fail(&format!("digest {}", name("secret/app:v1")));
    assert!(failed.contains("403") || failed.contains("DENIED"), "{failed}");
    let failed = fail(&format!("delete {}", name("team/app:v1")));
    assert!(failed.contains("alice may not delete from team/app"), "{failed}");
    crane(&format!("delete {}", name("home/alice/app:v1")));
    // One comparison of a password, however many requests.
    let log = guarded.log();
    assert!(log.contains("user=alice") || log.contains("auth.user.name=alice"), "{log}");
}

#[test]
#[ignore = "needs crane and umoci"]
fn a_robot_pushes_with_its_token_until_it_is_revoked() {
    let guarded = start();
    let secret = guarded.registry_command("token create ci --may push --on team/** --expires 1d");
    let id = secret.split('_').nth(1).unwrap().to_owned();
    guarded.log_in_with("crane", "auth login --username ci --password-stdin HOST", &secret);
    guarded.run("crane", &format!("push layout {}", guarded.name("team/robot:v1")));
    let failed = guarded.fail("crane", &format!("push layout {}", guarded.name("library/robot:v1")));
    assert!(failed.contains("ci may not push to library/robot"), "{failed}");
    let listed = guarded.registry_command("token list");
    assert!(listed.contains(&id) && !listed.contains(&secret), "{listed}");

    let rotated = guarded.registry_command(&format!("token rotate {id} --overlap 0s"));
    guarded.log_in_with("crane", "auth login --username ci --password-stdin HOST", &rotated);
    guarded.run("crane", &format!("digest {}", guarded.name("team/robot:v1")));
    let new = rotated.split('_').nth(1).unwrap();
    let shown = guarded.registry_command(&format!("token show {new} --format json"));
    assert!(shown.contains("team/**") && !shown.contains("sha256"), "{shown}");
    guarded.registry_command(&format!("token revoke {new}"));
    let digest = guarded.name("team/robot:v1");
    counts_within(TEN_SECONDS, || {
        !guarded.client("crane").args(["digest", &digest]).output().unwrap().status.success()
    });
}

/// How long a registry believes what it read of an access token.
pub(super) const TEN_SECONDS: Duration = Duration::from_secs(10);

/// Repeats a request until its answer shows that something counts. One that begins later than `limit` after this must
/// show it, however slow the machine is.
#[track_caller]
pub(super) fn counts_within(limit: Duration, mut shows: impl FnMut() -> bool) {
    let changed = Instant::now();
    loop {
        let begun = changed.elapsed();
        if shows() {
            return;
        }
        assert!(begun < limit, "it does not count after {begun:?}");
    }
}

#[test]
#[ignore = "needs oras"]
fn oras_reads_the_first_challenge() {
    let guarded = start();
    std::fs::write(guarded.path("model"), "content").unwrap();
    guarded.run("oras", &format!("pull {} --output pulled", guarded.name("public/app:v1")));
    guarded.fail("oras", &format!("pull {} --output pulled", guarded.name("team/app:v1")));
    guarded.log_in_as("oras", "login --username USER --password-stdin HOST", "alice");
    guarded.run("oras", &format!("push {} model:text/plain", guarded.name("team/model:v1")));
    guarded.run(
        "oras",
        &format!("copy {} {}", guarded.name("team/model:v1"), guarded.name("home/alice/model:v1")),
    );
    let failed = guarded.fail("oras", &format!("push {} model:text/plain", guarded.name("library/model:v1")));
    assert!(failed.contains("alice may not push to library/model"), "{failed}");
}

#[test]
#[ignore = "needs regctl and umoci"]
fn regctl_lists_and_copies_what_it_may_see() {
    let guarded = start();
    let regctl = |arguments: &str| guarded.run("regctl", arguments);
    assert_eq!(regctl(&format!("repo ls {}", guarded.host())), "public/app");
    regctl(&format!("image digest {}", guarded.name("public/app:v1")));
    guarded.fail("regctl", &format!("image digest {}", guarded.name("team/app:v1")));
    guarded.log_in_as("regctl", "registry login --user USER --pass-stdin HOST", "dave");
    assert_eq!(regctl(&format!("repo ls {}", guarded.host())), "public/app\nteam/app");
    regctl(&format!("image copy {} {}", guarded.name("team/app:v1"), guarded.name("home/dave/app:v1")));
    guarded.fail(
        "regctl",
        &format!("image copy {} {}", guarded.name("team/app:v1"), guarded.name("team/other:v1")),
    );
    regctl(&format!("tag delete {}", guarded.name("home/dave/app:v1")));
}

#[test]
#[ignore = "needs skopeo, buildah, podman and umoci, as root"]
fn skopeo_podman_and_buildah_come_with_a_password_and_without() {
    let guarded = start();
    let remote = |rest: &str| format!("docker://{}", guarded.name(rest));
    let skopeo =
        |arguments: &str| guarded.client("skopeo").args(arguments.split_whitespace()).output().unwrap();
    let ok = |arguments: &str| {
        let output = skopeo(arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
    };
    ok(&format!("inspect {}", remote("public/app:v1")));
    assert!(!skopeo(&format!("inspect {}", remote("team/app:v1"))).status.success());
    let creds = |user: &str| format!("--creds {user}:{user}-password");
    ok(&format!("inspect {} {}", creds("dave"), remote("team/app:v1")));
    let source = remote("team/app:v1");
    let copy = |user: &str, target: &str| {
        let creds = format!("--src-creds {user}:{user}-password --dest-creds {user}:{user}-password");
        skopeo(&format!("copy {creds} {source} {}", remote(target)))
    };
    assert!(copy("alice", "team/by/skopeo:v1").status.success());
    let refused = copy("dave", "team/other:v1");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("denied"), "{refused:?}");
    // A deletion asks for the scope `*`.
    let refused = skopeo(&format!("delete {} {}", creds("alice"), remote("team/by/skopeo:v1")));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("DENIED"), "{refused:?}");
    ok(&format!("delete {} {}", creds("carol"), remote("team/by/skopeo:v1")));

    let path = |kind: &str| guarded.path("podman").join(kind).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    for program in ["podman", "buildah"] {
        std::fs::write(guarded.path(&format!("{program}.json")), "{}").unwrap();
        let run_in = |arguments: &[&str]| {
            let mut command = guarded.client(program);
            command.args(["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot]).args(arguments);
            command.env("REGISTRY_AUTH_FILE", guarded.path(&format!("{program}.json")));
            command.output().unwrap()
        };
        let name = |rest: &str| guarded.name(rest);
        let pulled = run_in(&["pull", &name("public/app:v1")]);
        assert!(pulled.status.success(), "{pulled:?}");
        assert!(!run_in(&["pull", &name("secret/app:v1")]).status.success());
        let login = ["login", "-u", "alice", "-p", "alice-password", &guarded.host()];
        let login = run_in(&login);
        assert!(login.status.success(), "{login:?}");
        assert!(run_in(&["pull", &name("team/app:v1")]).status.success());
        let pushed = run_in(&["push", &name("team/app:v1"), &remote(&format!("team/by/{program}:v1"))]);
        assert!(pushed.status.success(), "{pushed:?}");
        let refused = run_in(&["push", &name("team/app:v1"), &remote("library/x:v1")]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("denied"), "{refused:?}");
    }
}

/// The classic store asks `/v2/` first and believes it; the other one is that of containerd.
#[test]
#[ignore = "needs docker, skopeo and umoci, as root"]
fn both_stores_of_docker_pull_what_is_public_and_push_after_a_login() {
    for features in ["{}", r#"{"features": {"containerd-snapshotter": true}}"#] {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let users = ["alice", "carol"]
            .map(|user| format!("{user}:{}\n", bcrypt::hash(format!("{user}-password"), 4).unwrap()));
        std::fs::write(path("htpasswd"), users.concat()).unwrap();
        let config = super::support::filesystem_config(&path("data"))
            + &format!("auth: {{htpasswd: {{realm: Registry, path: {}}}}}\n", path("htpasswd").display())
            + access_section();
        let registry = registry(directory.path(), &config);
        let name = |rest: &str| format!("{}/{rest}", registry.host());
        let layout = oci_layout(directory.path(), "v1", 2);
        for target in ["public/app:v1", "team/app:v1"] {
            run(tool("skopeo")
                .args(["copy", "--dest-tls-verify=false", "--dest-creds", "carol:carol-password"])
                .args([format!("oci:{}:v1", layout.display()), format!("docker://{}", name(target))]));
        }
        std::fs::create_dir(path("docker")).unwrap();
        std::fs::write(path("docker/daemon.json"), features).unwrap();
        std::fs::copy("/etc/hosts", path("hosts")).unwrap();
        let docker = Dockerd::start_with_etc(directory.path());
        docker.run(&["pull", &name("public/app:v1")]);
        docker.fail(&["pull", &name("team/app:v1")]);
        let wrong = docker.fail(&["login", "-u", "alice", "-p", "wrong", &registry.host()]);
        assert!(wrong.contains("401") || wrong.contains("unauthorized"), "{wrong}");
        docker.run(&["login", "-u", "alice", "-p", "alice-password", &registry.host()]);
        docker.run(&["pull", &name("team/app:v1")]);
        docker.run(&["tag", &name("team/app:v1"), &name("team/by/docker:v1")]);
        docker.run(&["push", &name("team/by/docker:v1")]);
        docker.run(&["tag", &name("team/app:v1"), &name("library/x:v1")]);
        let refused = docker.fail(&["push", &name("library/x:v1")]);
        assert!(refused.contains("denied") || refused.contains("403"), "{features}: {refused}");
        // A token of a robot, under its name.
        let mut create = tool(env!("CARGO_BIN_EXE_registry"));
        create.args(["token", "create", "ci", "--may", "push", "--on", "team/**", "--config"]);
        let secret = run(create.arg(path("sampan.yml")));
        docker.run(&["login", "-u", "ci", "-p", secret.trim(), &registry.host()]);
        docker.run(&["push", &name("team/by/docker:v1")]);
        docker.run(&["logout", &registry.host()]);
        docker.run(&["pull", &name("public/app:v1")]);
    }
}
