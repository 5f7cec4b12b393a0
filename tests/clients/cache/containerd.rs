//! containerd: `hosts.toml`, by `ns` and by path, and the registry itself after the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::clients::support::{Containerd, fail, multi_platform_layout, run};

/// A containerd and its folder of hosts.
struct Node {
    containerd: Containerd,
    folder: std::path::PathBuf,
}

impl Node {
    #[track_caller]
    fn start(directory: &Path) -> Self {
        let containerd = Containerd::start(&directory.join("containerd"));
        Self { containerd, folder: directory.join("hosts") }
    }

    /// Writes the `hosts.toml` of a registry.
    fn set_hosts(&self, registry: &str, text: &str) {
        fs::create_dir_all(self.folder.join(registry)).unwrap();
        fs::write(self.folder.join(registry).join("hosts.toml"), text).unwrap();
    }

    /// `ctr images pull`; the images of earlier pulls and their content go first.
    fn pull(&self, image: &str) -> Command {
        let mut remove = self.containerd.ctr();
        drop(remove.args(["images", "rm", "--sync", image]).output().unwrap());
        let mut command = self.containerd.ctr();
        command
            .args(["images", "pull", "--snapshotter", "native", "--hosts-dir"])
            .arg(&self.folder)
            .arg(image);
        command
    }
}

#[test]
#[ignore = "needs containerd, docker-registry, skopeo and umoci, as root"]
fn containerd_names_the_registry_by_ns_or_by_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Token);
    hub.push_image(directory.path(), 2, "library/app:1");
    let cache = cache(directory.path(), &upstream(&hub, ""), "", "");
    let node = Node::start(directory.path());
    hub.asked();

    // No server besides the cache: nothing here leads to the real docker.io.
    let ns = from_page("server = \"https://registry.example.com\"", &cache);
    node.set_hosts("docker.io", &ns);
    run(&mut node.pull("docker.io/library/app:1"));
    assert_eq!(hub.asked(), cold(3));
    run(&mut node.pull("docker.io/library/app:1"));
    assert_eq!(hub.asked(), [""; 0], "the tag is fresh, and all content is here");

    let path = from_page("override_path", &cache);
    node.set_hosts("docker.io", &path);
    let pulled = node.pull("docker.io/library/app:1").output().unwrap();
    assert!(pulled.status.success(), "{pulled:?}\n{}", cache.process.log());
    assert_eq!(hub.asked(), [""; 0], "both names are one repository");
    let log = cache.process.log();
    let requests = |path: &str| {
        log.contains(&format!("http.request.uri=\"{path}\""))
            || log.contains(&format!("http.request.uri={path} "))
    };
    assert!(
        requests("/v2/library/app/manifests/1") && requests("/v2/docker.io/library/app/manifests/1"),
        "{log}"
    );
}

#[test]
#[ignore = "needs containerd, docker-registry, skopeo, buildah and umoci, as root"]
fn containerd_goes_on_to_the_registry_for_what_the_cache_has_not() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Token);
    hub.push_image(directory.path(), 1, "library/app:1");
    let node = Node::start(directory.path());
    let offline = cache(directory.path(), &upstream(&hub, ""), ", offline: true", "");
    let hosts = |cache| from_page("[host.\"https://registry.example.com\"]", cache);
    node.set_hosts("_default", &hosts(&offline));
    hub.asked();

    // The cache knows no registry of this name.
    let image = format!("{}/library/app:1", hub.host());
    run(&mut node.pull(&image));
    offline.process.wait_to_say("err.code=NAME_UNKNOWN");
    assert_eq!(hub.asked().iter().filter(|asked| *asked == "GET blobs 200").count(), 2);

    // It knows the name, but nothing is stored and the upstream is not asked.
    let known = upstream(&hub, &format!(", ns: ['{}']", hub.host()));
    let known = cache(&directory.path().join("known"), &known, ", offline: true", "");
    node.set_hosts("_default", &hosts(&known));
    run(&mut node.pull(&image));
    assert!(hub.asked().len() >= 3);
    known.process.wait_to_say("404");

    // It asks the upstream; each platform of an index comes by itself.
    let layout = multi_platform_layout(directory.path());
    hub.push(&format!("{}:all", layout.display()), "library/multi:all");
    let online = upstream(&hub, &format!(", ns: ['{}']", hub.host()));
    let online = cache(&directory.path().join("online"), &online, "", "");
    node.set_hosts("_default", &format!("server = 'http://{0}'\n{1}", online.host(), hosts(&online)));
    let image = format!("{}/library/multi:all", hub.host());
    for (platform, manifests) in [("linux/amd64", 2), ("linux/arm64", 1), ("linux/arm64", 0)] {
        hub.asked();
        run(node.pull(&image).args(["--platform", platform]));
        let asked = hub.asked();
        let count = |wanted: &str| asked.iter().filter(|asked| *asked == wanted).count();
        let blobs = if manifests > 0 { 2 } else { 0 };
        assert_eq!(
            (count("GET manifests 200"), count("GET blobs 200")),
            (manifests, blobs),
            "{platform}: {asked:?}"
        );
    }
}

#[test]
#[ignore = "needs containerd, docker-registry, skopeo and umoci, as root"]
fn containerd_fetches_a_token_for_the_name_in_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Password);
    hub.push_image(directory.path(), 1, "library/app:1");
    let users = crate::cli::support::end(
        crate::cli::support::binary(directory.path()).args(["htpasswd", "add", "users", "alice"]),
        "wonderland",
    );
    assert_eq!(users.code, Some(0), "{users:?}");
    let sections = format!(
        "auth: {{htpasswd: {{realm: Here, path: {}}}}}\n\
         access: {{rules: [{{who: 'user:alice', may: pull, on: 'docker.io/**'}}]}}\n",
        directory.path().join("users").display()
    );
    let cache = cache(directory.path(), &upstream(&hub, ACCOUNT), "", &sections);
    let node = Node::start(directory.path());
    node.set_hosts("docker.io", &format!("server = 'http://{0}'\n[host.'http://{0}']\n", cache.host()));
    hub.asked();

    let image = "docker.io/library/app:1";
    fail(&mut node.pull(image));
    fail(node.pull(image).args(["--user", "alice:wrong"]));
    assert_eq!(hub.asked(), [""; 0], "the upstream hears nothing of clients without access");
    run(node.pull(image).args(["--user", "alice:wonderland"]));
    assert_eq!(hub.asked(), cold(2));
}
