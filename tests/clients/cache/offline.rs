//! Without the upstream, and through a proxy to it: the commands of `docs/pull-through.md`.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::cli::debug_listener::debug;
use crate::clients::support::{
    RegistryProcess, assert_same_blobs, fail, multi_platform_layout, oci_layout, registry_command, run, tool,
    write_config,
};

/// skopeo's copy of an image from the cache.
fn copy(cache: &RegistryProcess, name: &str, options: &[&str], to: &Path) -> Command {
    let mut command = tool("skopeo");
    command.args(["copy", "--quiet", "--src-tls-verify=false"]).args(options);
    command
        .arg(format!("docker://{}/docker.io/{name}", cache.host()))
        .arg(format!("oci:{}:all", to.display()));
    command
}

#[test]
#[ignore = "needs skopeo, docker-registry, buildah, umoci and curl, as root"]
fn what_was_completed_is_served_offline_until_the_upstreams_are_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let hub = Hub::start(&path("hub"), Login::Password);
    let layout = multi_platform_layout(directory.path());
    hub.push(&format!("{}:all", layout.display()), "library/multi:all");
    hub.push_image(directory.path(), 1, "library/other:1");
    let config = |offline: bool| {
        let config =
            filesystem_config(&path("data")).replace("http: {", "http: {debug: {addr: '127.0.0.1:0'}, ");
        format!("{config}proxy: {{offline: {offline}, upstreams: [{}]}}\n", upstream(&hub, ACCOUNT))
    };
    let cache = registry(directory.path(), &config(false));
    run(&mut copy(&cache, "multi:all", &[], &path("one")));
    hub.asked();

    let complete = from_page("registry cache complete", &cache);
    let complete: Vec<_> = complete.split_whitespace().collect();
    assert_eq!(complete, ["registry", "cache", "complete", "/etc/registry/config.yml"]);
    let mut command = tool(env!("CARGO_BIN_EXE_registry"));
    run(command.args(&complete[1..3]).arg(path("sampan.yml")));
    let asked = hub.asked();
    let count = |wanted: &str| asked.iter().filter(|asked| *asked == wanted).count();
    assert_eq!((count("GET manifests 200"), count("GET blobs 200")), (1, 2), "{asked:?}");

    let commands = from_page("debug/offline", &cache).replace("localhost:5001", &debug(&cache).to_string());
    let [offline, state, online] = commands.lines().collect::<Vec<_>>()[..] else { panic!("{commands}") };
    let curl = |line: &str| run(tool("sh").args(["-c", &line.replace("curl", "curl --silent --fail")]));
    curl(offline);
    assert!(curl(state).contains("\"offline\":true"));
    run(&mut copy(&cache, "multi:all", &["--all"], &path("all")));
    assert_same_blobs(&layout, &path("all"));
    let refused = fail(&mut copy(&cache, "other:1", &[], &path("other")));
    assert!(refused.contains("offline"), "{refused}");
    assert_eq!(hub.asked(), [""; 0]);
    curl(online);
    run(&mut copy(&cache, "other:1", &[], &path("other")));

    for (offline, said) in [(true, "upstreams are not asked"), (false, "upstreams are asked again")] {
        write_config(directory.path(), "sampan.yml", &config(offline));
        cache.process.signal("HUP");
        let is_said = |line: &str| line.contains("SIGHUP: applied") && line.contains(said);
        cache.process.wait_for(|line| is_said(line).then_some(()));
        assert!(curl(state).contains(&format!("\"offline\":{offline}")));
    }
}

#[test]
#[ignore = "needs skopeo, docker-registry and umoci"]
fn the_upstream_is_reached_through_a_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let hub = Hub::start(&path("hub"), Login::Password);
    let layout = oci_layout(directory.path(), "v1", 1);
    hub.push(&format!("{}:v1", layout.display()), "library/app:1");
    hub.asked();
    // A name that only the proxy knows. The hub itself is the proxy: it ignores the host of a request.
    let upstreams =
        format!("{{name: hub, url: 'http://hub.invalid', prefix: docker.io, library: true{ACCOUNT}}}");
    let config = format!("{}proxy: {{upstreams: [{upstreams}]}}\n", filesystem_config(&path("data")));
    let mut command = registry_command(&write_config(directory.path(), "sampan.yml", &config));
    command.env("HTTP_PROXY", format!("http://{}", hub.host())).env_remove("NO_PROXY");
    let cache = RegistryProcess::start(&mut command);
    run(&mut copy(&cache, "app:1", &[], &path("back")));
    assert_same_blobs(&layout, &path("back"));
    assert_eq!(hub.asked(), cold(2));
    drop(cache);
    // Without it there is no way.
    let cache = registry(directory.path(), &config);
    fail(&mut copy(&cache, "other:1", &[], &path("none")));
    assert_eq!(hub.asked(), [""; 0]);
}
