//! podman with `registries.conf`, and skopeo with the prefix in the name.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::clients::support::{assert_same_blobs, fail, multi_platform_layout, oci_layout, run, tool};

/// A podman with files of its own.
struct Podman<'a>(&'a Path);

impl Podman<'_> {
    /// The configuration of the page, with a mirror, and with `location` as docker.io; none of them has TLS.
    fn set_mirror(&self, mirror: &RegistryProcess, location: &str) {
        let text = from_page("[[registry.mirror]]", mirror).replace("registry.example.com", &mirror.host());
        let text =
            text.replace("location = \"docker.io\"", &format!("insecure = true\nlocation = \"{location}\""));
        fs::write(self.0.join("registries.conf"), text + "insecure = true\n").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = |kind: &str| self.0.join("podman").join(kind).display().to_string();
        let mut command = tool("podman");
        command.args(["--storage-driver", "vfs", "--root", &path("root"), "--runroot", &path("run")]);
        command.env("CONTAINERS_REGISTRIES_CONF", self.0.join("registries.conf"));
        command.env("REGISTRY_AUTH_FILE", self.0.join("auth.json")).args(arguments);
        command
    }

    /// Pulls as after the first time.
    #[track_caller]
    fn pull(&self, image: &str) {
        let _ = self.command(&["rmi", "--force", image]).output();
        run(&mut self.command(&["pull", image]));
    }
}

#[test]
#[ignore = "needs podman, docker-registry, skopeo and umoci, as root"]
fn podman_pulls_from_a_mirror_below_its_prefix_and_goes_on_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Token);
    hub.push_image(directory.path(), 2, "library/app:1");
    let mut mirror = cache(directory.path(), &upstream(&hub, ""), "", "");
    let podman = Podman(directory.path());
    fs::write(directory.path().join("auth.json"), "{}").unwrap();
    hub.asked();

    let nowhere = "127.0.0.1:1";
    podman.set_mirror(&mirror, nowhere);
    podman.pull("docker.io/library/app:1");
    // podman asks for the manifest without a HEAD before it.
    assert_eq!(hub.asked(), cold(3));
    podman.pull("docker.io/library/app:1");
    assert_eq!(hub.asked(), [""; 0], "the tag is fresh, and all content is here");
    fail(&mut podman.command(&["pull", "docker.io/library/none:1"]));

    // Offline, the mirror has what was pulled; podman continues to the registry for the rest.
    let other = oci_layout(directory.path(), "other", 2);
    hub.push(&format!("{}:other", other.display()), "library/other:1");
    mirror.process.terminate();
    let offline = cache(directory.path(), &upstream(&hub, ""), ", offline: true", "");
    podman.set_mirror(&offline, &hub.host());
    hub.asked();
    podman.pull("docker.io/library/app:1");
    assert_eq!(hub.asked(), [""; 0]);
    podman.pull("docker.io/library/other:1");
    assert_eq!(hub.asked().iter().filter(|asked| *asked == "GET blobs 200").count(), 3);
    drop(offline);
    podman.pull("docker.io/library/other:1");
    assert!(!hub.asked().is_empty());
}

#[test]
#[ignore = "needs skopeo, docker-registry and umoci"]
fn clients_that_pull_at_once_share_each_transfer() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Password);
    let layout = hub.push_image(directory.path(), 3, "library/app:1");
    // So slow that the clients meet.
    let cache = cache(directory.path(), &upstream(&hub, &format!("{ACCOUNT}, bandwidth: 200KiB")), "", "");
    hub.asked();
    let back = |client: usize| directory.path().join(format!("back-{client}"));
    let pull = |client| {
        let mut command = tool("skopeo");
        command.args(["copy", "--quiet", "--src-tls-verify=false"]);
        command.arg(format!("docker://{}/docker.io/library/app:1", cache.host()));
        command.arg(format!("oci:{}:v1", back(client).display())).spawn().unwrap()
    };
    let clients: Vec<_> = (0..4).map(pull).collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success(), "{}", cache.process.log());
    }
    (0..4).for_each(|client| assert_same_blobs(&layout, &back(client)));
    assert_eq!(hub.asked(), cold(4));
}

#[test]
#[ignore = "needs skopeo, docker-registry, buildah and umoci, as root"]
fn skopeo_copies_by_the_name_with_the_prefix_and_pushes_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Password);
    let layout = multi_platform_layout(directory.path());
    hub.push(&format!("{}:all", layout.display()), "library/multi:all");
    let cache = cache(directory.path(), &upstream(&hub, ACCOUNT), "", "");
    hub.asked();
    let skopeo = |arguments: &[&str]| {
        let mut command = tool("skopeo");
        command.arg(arguments[0]).args(match arguments[0] {
            "copy" => &["--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"][..],
            _ => &["--tls-verify=false"],
        });
        command.args(&arguments[1..]);
        command
    };
    let remote = |name: &str| format!("docker://{}/{name}", cache.host());
    let back = format!("oci:{}:all", directory.path().join("back").display());
    run(&mut skopeo(&["copy", "--all", &remote("docker.io/multi:all"), &back]));
    assert_same_blobs(&layout, &directory.path().join("back"));
    let asked = hub.asked();
    let count = |wanted: &str| asked.iter().filter(|asked| *asked == wanted).count();
    assert_eq!(
        (count("GET manifests 200"), count("HEAD manifests 200"), count("GET blobs 200")),
        (3, 1, 4),
        "{asked:?}"
    );
    let again = format!("oci:{}:all", directory.path().join("again").display());
    run(&mut skopeo(&["copy", "--all", &remote("docker.io/library/multi:all"), &again]));
    assert_eq!(hub.asked(), [""; 0], "the tag is fresh, and all content is here");
    assert!(run(&mut skopeo(&["list-tags", &remote("docker.io/library/multi")])).contains("\"all\""));

    // A push below the prefix is refused with a reason; beside it is an ordinary registry.
    let refused = fail(&mut skopeo(&["copy", "--all", &back, &remote("docker.io/library/multi:mine")]));
    assert!(refused.contains("is a cache of upstream hub"), "{refused}");
    hub.asked();
    run(&mut skopeo(&["copy", "--all", &back, &remote("team/multi:mine")]));
    assert_eq!(hub.asked(), [""; 0]);
}
