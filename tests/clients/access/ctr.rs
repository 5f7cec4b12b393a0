//! ctr, containerd's own client, over TLS: it gets its credentials with each command, and asks for a token by `POST`.

use super::{TEN_SECONDS, counts_within, start};
use crate::clients::support::{Containerd, copy, fail, run};

#[test]
#[ignore = "needs containerd, crane, skopeo and umoci, as root"]
fn ctr_pulls_and_pushes_with_a_password_and_with_a_robots_token() {
    let guarded = start();
    let containerd = Containerd::start(&guarded.path("containerd"));
    // Without such a file ctr takes a loopback address for a server without TLS.
    let hosts = guarded.path("hosts");
    let place = hosts.join(guarded.host());
    std::fs::create_dir_all(&place).unwrap();
    let server = format!("https://{}", guarded.host());
    let authority = guarded.path("certs/ca.crt").display().to_string();
    let text = format!("server = {server:?}\n[host.{server:?}]\nca = {authority:?}\n");
    std::fs::write(place.join("hosts.toml"), text).unwrap();
    let images = |arguments: &[&str]| {
        let mut command = containerd.ctr();
        command.arg("images").args(arguments);
        if matches!(arguments[0], "pull" | "push") {
            command.arg("--hosts-dir").arg(&hosts);
        }
        command
    };
    let archive = guarded.path("archive.tar");
    copy(
        &format!("oci:{}:v1", guarded.path("layout").display()),
        &format!("oci-archive:{}:local/app:v1", archive.display()),
        false,
    );
    run(images(&["import", "--snapshotter", "native"]).arg(&archive));
    let tag = |rest: &str| {
        let name = guarded.name(rest);
        run(&mut images(&["tag", "local/app:v1", &name]));
        name
    };
    let pull = ["pull", "--snapshotter", "native"];
    let public = guarded.name("public/app:v1");
    run(images(&pull).arg(&public));
    let hidden = guarded.name("team/app:v1");
    fail(images(&pull).arg(&hidden));
    run(images(&pull).args(["--user", "dave:dave-password", &hidden]));
    let secret = guarded.name("secret/app:v1");
    fail(images(&pull).args(["--user", "dave:dave-password", &secret]));
    fail(images(&pull).args(["--user", "dave:wrong", &hidden]));

    let robot = guarded.registry_command("token create ci --may push --on team/** --expires 1d");
    let id = robot.split('_').nth(1).unwrap();
    let (by_alice, by_robot, library) =
        (tag("team/by/ctr:v1"), tag("team/by/robot:v1"), tag("library/ctr:v1"));
    let as_robot = format!("ci:{robot}");
    for (login, name) in [("alice:alice-password", &by_alice), (&as_robot, &by_robot)] {
        run(images(&["push", "--user", login]).arg(name));
        // With a push of what is there already, a client asks for every blob.
        run(images(&["push", "--user", login]).arg(name));
        let refused = fail(images(&["push", "--user", login]).arg(&library));
        assert!(refused.contains("403") || refused.contains("denied"), "{refused}");
        run(images(&pull).args(["--user", login]).arg(name));
    }
    guarded.registry_command(&format!("token revoke {id}"));
    counts_within(TEN_SECONDS, || {
        !images(&["push", "--user", &as_robot]).arg(&by_robot).output().unwrap().status.success()
    });
}
