//! The Docker engine with `registry-mirrors`, logged in at a false Docker Hub.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::*;
use crate::clients::support::{Dockerd, Fixture, Process, oci_layout};

/// Docker Hub as an engine sees it: the content of `hub` under Docker Hub's name, and a login.
struct FalseHub {
    site: Fixture,
    hub: Hub,
    front: Process,
    docker: Dockerd,
    /// How much of the front's log earlier steps have read.
    read: Mutex<usize>,
}

impl FalseHub {
    #[track_caller]
    fn start() -> Self {
        let site = Fixture::new("registry-1.docker.io");
        let hub = Hub::start(&site.path("hub"), Login::Token);
        // An address of this test alone, since the port is Docker Hub's.
        let [a, b, c] = rand::random::<[u8; 3]>().map(|part| part.clamp(1, 254));
        let address = SocketAddr::from((Ipv4Addr::new(127, a, b, c), 443));
        let front = hub.front(&site.path("hub"), address, &site.tls());
        fs::create_dir_all(site.path("etc/docker")).unwrap();
        let hosts = format!(
            "127.0.0.1 localhost hub.mirror.test\n{} registry-1.docker.io index.docker.io\n",
            address.ip()
        );
        fs::write(site.path("etc/hosts"), hosts).unwrap();
        fs::write(site.path("etc/docker/daemon.json"), "{}").unwrap();
        let docker = Dockerd::start_with_etc_and_authority(&site.path("etc"), &site.path("certs/ca.crt"));
        Self { site, hub, front, docker, read: Mutex::default() }
    }

    /// Logs in as `docker login` does, which keeps the login in this file.
    fn log_in(&self) {
        let login = STANDARD.encode("anne:secret");
        let config = format!("{{\"auths\": {{\"https://index.docker.io/v1/\": {{\"auth\": \"{login}\"}}}}}}");
        self.docker.configure(&config);
    }

    /// The configuration of the page, with the address of a mirror.
    fn set_mirror(&self, cache: &RegistryProcess, host: &str) {
        let place = format!("http://{host}:{}", cache.address.port());
        let config = from_page("registry-mirrors", cache).replace("https://hub.registry.example.com", &place);
        fs::write(self.path("etc/docker/daemon.json"), config).unwrap();
        self.docker.reload();
    }

    /// Pulls as after the first time, and returns how many blobs came from the Hub itself.
    #[track_caller]
    fn pull(&self, image: &str) -> usize {
        let _ = self.docker.docker().args(["rmi", "--force", image]).output();
        self.docker.run(&["pull", image]);
        let log = self.front.log();
        let begin = std::mem::replace(&mut *self.read.lock().unwrap(), log.len());
        log[begin..].lines().filter(|line| line.contains("\"GET /v2/") && line.contains("/blobs/")).count()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }
}

#[test]
#[ignore = "needs docker, docker-registry, skopeo and umoci, as root"]
fn docker_pulls_from_a_mirror_and_sends_it_the_login_of_the_hub() {
    let world = FalseHub::start();
    world.hub.push_image(&world.path("."), 2, "library/app:1");
    world.log_in();
    // Every client may pull what is Docker Hub's. A user of this registry has the name of the account at the Hub, and
    // another password.
    world.site.set_password("anne", "wonderland");
    let sections = format!(
        "{}\naccess: {{rules: [{{who: everyone, may: pull, on: 'docker.io/**'}}, {{who: users, may: push, on: 'team/**'}}]}}\n",
        world.site.auth()
    );
    let by_host =
        cache(&world.path("by-host"), &upstream(&world.hub, ", hosts: [hub.mirror.test]"), "", &sections);
    world.hub.asked();
    world.set_mirror(&by_host, "hub.mirror.test");
    assert_eq!(world.pull("app:1"), 0);
    assert_eq!(world.hub.asked(), cold(3));
    assert_eq!(world.pull("app:1"), 0);
    assert_eq!(world.hub.asked(), [""; 0], "the tag is fresh, and all content is here");
    let log = by_host.process.log();
    assert!(!log.contains("\" 401") && !log.contains("status=401"), "{log}");

    // The same under any name, without rules.
    let by_default =
        cache(&world.path("by-default"), &upstream(&world.hub, ""), ", default: hub, local: ['team/**']", "");
    world.set_mirror(&by_default, "127.0.0.1");
    // The engine may still have the manifest of the image that it removed.
    let other = oci_layout(&world.path("."), "other", 2);
    world.hub.push(&format!("{}:other", other.display()), "library/other:1");
    world.hub.asked();
    assert_eq!(world.pull("other:1"), 0);
    assert_eq!(world.hub.asked(), cold(3));
}

#[test]
#[ignore = "needs docker, docker-registry, skopeo and umoci, as root"]
fn docker_goes_on_to_the_hub_when_the_mirror_gives_nothing() {
    let world = FalseHub::start();
    world.hub.push_image(&world.path("."), 1, "library/app:1");
    let proxy = ", default: hub, local: ['team/**']";
    let (refusing, _runtime) = refusing();
    let limited = format!("{{name: hub, url: 'http://{refusing}', prefix: docker.io, library: true}}");
    let gone = "{name: hub, url: 'http://127.0.0.1:1', prefix: docker.io, library: true}";
    for (name, upstreams, proxy, status) in [
        ("offline", upstream(&world.hub, ""), format!("{proxy}, offline: true"), "404"),
        ("limited", limited, proxy.to_owned(), "429"),
        ("gone", gone.to_owned(), proxy.to_owned(), "502"),
    ] {
        let mirror = cache(&world.path(name), &upstreams, &proxy, "");
        world.set_mirror(&mirror, "127.0.0.1");
        assert_eq!(world.pull("app:1"), 2, "{name}");
        mirror.process.wait_to_say(&format!("http.response.status={status}"));
    }
    let mut stopped = cache(&world.path("stopped"), gone, proxy, "");
    world.set_mirror(&stopped, "127.0.0.1");
    stopped.process.terminate();
    assert_eq!(world.pull("app:1"), 2);
}

/// A registry that answers every request with 429. It ends with the runtime.
fn refusing() -> (SocketAddr, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async || StatusCode::TOO_MANY_REQUESTS);
    runtime.spawn(async move { axum::serve(listener, router).await });
    (address, runtime)
}
