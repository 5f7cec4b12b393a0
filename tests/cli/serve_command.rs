//! `registry serve`: starting, refusing to start, and ending.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;

use sampan_engine::oci::Digest;

use super::support::{binary, end};
use crate::clients::support::{Process, RegistryProcess, filesystem_config, registry, tool};

/// Where a packaged registry may have put its configuration, which is taken before the built-in one.
const STANDARD: [&str; 2] = ["/etc/distribution/config.yml", "/etc/docker/registry/config.yml"];

#[test]
fn without_a_configuration_it_serves_a_registry_for_newcomers() {
    let directory = tempfile::tempdir().unwrap();
    if let Some(packaged) = STANDARD.iter().find(|path| Path::new(path).exists()) {
        let ended = end(binary(directory.path()).args(["config", "show"]), "");
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(packaged), "{ended:?}");
        return;
    }
    let mut command = binary(directory.path());
    // The built-in port may be taken on this machine.
    let mut process = Process::start(command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").arg("serve"));
    let line = process.wait_for(|line| line.contains("listening on 127.0.0.1:").then(|| line.to_owned()));
    assert!(!line.contains(":0\""), "{line}");
    assert!(process.log().contains("registry-data"), "{}", process.log());
    assert!(process.terminate().success());
    assert!(directory.path().join("registry-data").is_dir());
}

/// On a machine that has a configuration at its standard place too.
#[test]
fn the_built_in_configuration_can_be_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = binary(directory.path());
    // A file that would be taken else, and cannot be.
    command.env("REGISTRY_CONFIGURATION_PATH", directory.path().join("leftover.yml"));
    let mut process =
        Process::start(command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").args(["serve", "--default"]));
    process.wait_for(|line| line.contains("listening on 127.0.0.1:").then_some(()));
    assert!(process.log().contains("starting with built-in default"), "{}", process.log());
    assert!(process.terminate().success());
    assert!(directory.path().join("registry-data").is_dir());
    let ended = end(binary(directory.path()).args(["serve", "--default", "config.yml"]), "");
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_bare_configuration_is_served() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.yml"), filesystem_config(&directory.path().join("data")))
        .unwrap();
    let mut process = Process::start(binary(directory.path()).arg("config.yml"));
    process.wait_for(|line| line.contains("listening on").then_some(()));
    assert!(process.terminate().success());
}

#[test]
fn a_redis_server_that_is_not_there_is_told_before_anybody_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let cached = filesystem_config(&directory.path().join("data"))
        .replace("  delete:", "  cache: {blobdescriptor: redis}\n  delete:");
    let config = format!("{cached}redis: {{addrs: ['{}']}}\n", socket.display());
    fs::write(directory.path().join("config.yml"), config).unwrap();
    let process = Process::start(binary(directory.path()).arg("config.yml"));
    let line =
        process.wait_for(|line| line.contains("the Redis server is not usable").then(|| line.to_owned()));
    assert!(line.contains("none.sock"), "{line}");
}

#[test]
fn a_root_that_is_off_by_a_level_is_told_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    fs::create_dir_all(root.join("docker/registry/v2/repositories/app")).unwrap();
    let served = registry(directory.path(), &filesystem_config(&root.join("docker/registry")));
    let log = served.process.log();
    let told = format!("is not empty but contains no images: the store is in {}", root.display());
    assert!(log.contains(&told), "{log}");
}

#[test]
fn registries_on_one_directory_know_of_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let told = |served: &RegistryProcess| {
        served.process.log().contains("another registry on this machine also serves")
    };
    let first = registry(directory.path(), &config);
    let second = registry(directory.path(), &config);
    assert!(!told(&first) && told(&second), "{}", second.process.log());
    drop(first);
    assert!(told(&registry(directory.path(), &config)), "the second is there");
    drop(second);
    assert!(!told(&registry(directory.path(), &config)), "they have all ended");
}

#[test]
fn an_occupied_port_is_named_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = filesystem_config(&directory.path().join("data")).replace("127.0.0.1:0", &address);
    fs::write(directory.path().join("config.yml"), config).unwrap();
    let ended = end(binary(directory.path()).args(["serve", "config.yml"]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("http.addr"), "{ended:?}");
}

#[test]
fn a_root_that_cannot_be_one_is_named_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    fs::write(directory.path().join("config.yml"), filesystem_config(&file.join("data"))).unwrap();
    let ended = end(binary(directory.path()).args(["serve", "config.yml"]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("rootdirectory") && ended.stderr.contains("file/data"), "{ended:?}");
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn a_driver_that_does_not_exist_is_answered_with_the_one_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.yml"), "version: 0.1\nstorage:\n  filesytem: {}\n").unwrap();
    let ended = end(binary(directory.path()).args(["serve", "config.yml"]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in ["config.yml:3", "filesytem", "did you mean `filesystem`"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn it_ends_at_once_when_nothing_is_going_on() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
        let mut wire = registry.wire();
        assert_eq!(wire.send("GET", "/v2/", &[], b"").status, 200);
        registry.process.signal(signal);
        assert!(registry.process.wait().success(), "{signal}: {}", registry.process.log());
    }
}

#[test]
fn a_running_transfer_is_finished_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        filesystem_config(&directory.path().join("data")).replace("http: {", "http: {draintimeout: 60s, ");
    let mut registry = registry(directory.path(), &config);
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    let digest = sampan_engine::oci::Digest::sha256_of(b"first second");
    wire.begin("PUT", &format!("{location}?digest={digest}"), &[], 12);
    wire.write(b"first ");
    // The request is being served once its upload is held.
    while registry.wire().send("GET", &location, &[], b"").status != 409 {}
    registry.process.signal("TERM");
    registry.process.wait_for(|line| line.contains("stopping").then_some(()));
    wire.write(b"second");
    assert_eq!(wire.finish("PUT").status, 201);
    assert!(registry.process.wait().success());
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        filesystem_config(&directory.path().join("data")).replace("http: {", "http: {draintimeout: 24h, ");
    let mut registry = registry(directory.path(), &config);
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    wire.begin("PATCH", &location, &[], 12);
    wire.write(b"first ");
    while registry.wire().send("GET", &location, &[], b"").status != 409 {}
    registry.process.signal("TERM");
    registry.process.wait_for(|line| line.contains("a second signal ends at once").then_some(()));
    registry.process.signal("INT");
    assert!(registry.process.wait().success());
    registry.process.wait_to_say("ending at once on a second SIGINT");
}

#[test]
fn a_slow_pull_is_finished_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        filesystem_config(&directory.path().join("data")).replace("http: {", "http: {draintimeout: 60s, ");
    let mut registry = registry(directory.path(), &config);
    // More than the buffers of both sockets hold, so that the registry has to wait for its reader.
    let content: Vec<u8> = (0..32u32 << 20).map(|index| (index >> 10) as u8).collect();
    let digest = sampan_engine::oci::Digest::sha256_of(&content);
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    assert_eq!(wire.send("PUT", &format!("{location}?digest={digest}"), &[], &content).status, 201);

    wire.begin("GET", &format!("/v2/app/blobs/{digest}"), &[], 0);
    assert_eq!(wire.head().status, 200);
    registry.process.signal("TERM");
    registry.process.wait_for(|line| line.contains("shutting down, waiting").then_some(()));
    assert!(std::net::TcpStream::connect(registry.address).is_err(), "it accepts no new connection");
    let mut pulled = vec![0; content.len()];
    for part in pulled.chunks_mut(1 << 20) {
        wire.body().read_exact(part).unwrap();
    }
    assert!(pulled == content);
    assert!(registry.process.wait().success());
    registry.process.wait_to_say("aborted=0");
}

#[test]
fn a_pull_that_is_cut_because_its_client_reads_nothing_is_logged() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        .replace("http: {", "http: {limits: {readtimeout: 100ms}, ");
    let registry = registry(directory.path(), &config);
    // More than the buffers of both sockets hold.
    let content = vec![7; 32 << 20];
    let store = crate::support::StoreFiles::new(&directory.path().join("data"));
    let digest = store.layer("app", &content);
    let mut wire = registry.wire();
    wire.begin("GET", &format!("/v2/app/blobs/{digest}"), &[], 0);
    registry.process.wait_to_say("connection cut: the client reads too slowly");
}

#[test]
fn read_only_mode_is_switched_by_sighup() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let registry = registry(directory.path(), &config);
    assert_eq!(registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").status, 202);

    // As after an edit that a container does not see.
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("SIGHUP: nothing has changed in").then_some(()));

    let path = directory.path().join("sampan.yml");
    let read_only = config.replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(&path, &read_only).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("SIGHUP: applied: read-only mode is on").then_some(()));
    let refused = registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 405);
    assert!(String::from_utf8_lossy(&refused.body).contains("read-only"), "{refused:?}");

    // What cannot change is said, and a broken file changes nothing.
    fs::write(&path, read_only.replace("127.0.0.1:0", "127.0.0.1:1")).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| (line.contains("http.addr") && line.contains("restart")).then_some(()));
    registry.process.wait_for(|line| {
        line.contains("SIGHUP: nothing was applied; http.addr waits for a restart").then_some(())
    });
    fs::write(&path, "version: 0.1\nstorage: {nonsense").unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("level=error").then_some(()));
    assert_eq!(registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").status, 405);

    fs::write(&path, &config).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("read-only mode is off").then_some(()));
    assert_eq!(registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").status, 202);
}

#[test]
fn the_level_of_the_log_is_switched_by_sighup() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let registry = registry(directory.path(), &config);
    let debug = config.replace("level: info", "level: debug");
    fs::write(directory.path().join("sampan.yml"), debug).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("level is debug").then_some(()));
    assert_eq!(registry.wire().send("GET", "/v2/app/tags/list", &[], b"").status, 404);
    registry.process.wait_for(|line| {
        (line.contains("authorization: granted to anonymous") && line.contains("repository:app:pull"))
            .then_some(())
    });
    registry.wire().write(b"nonsense\r\n\r\n");
    registry.process.wait_for(|line| line.contains("level=debug").then_some(()));
    assert!(!registry.process.log().contains("restart"), "{}", registry.process.log());
}

#[test]
fn one_address_has_no_more_uploads_under_way_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        .replace("http: {", "http: {limits: {uploadsperaddress: 1}, ");
    let registry = registry(directory.path(), &config);
    let start = || registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").status;
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    wire.begin("PATCH", &location, &[], 12);
    wire.write(b"first ");
    // The slot is taken once the upload is held. Only looking takes no slot itself.
    while registry.wire().send("GET", &location, &[], b"").status != 409 {}
    assert_eq!(start(), 429);
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
    wire.write(b"second");
    assert_eq!(wire.finish("PATCH").status, 202);
    assert_eq!(start(), 202);
}

/// The system ends a process by default that writes beyond its limit.
#[test]
fn an_upload_beyond_the_limit_of_file_sizes_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.yml"), filesystem_config(&directory.path().join("data")))
        .unwrap();
    let ours = binary(directory.path());
    let mut limited = tool("sh");
    limited
        .current_dir(directory.path())
        .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // In blocks of 512 or 1024 bytes.
    limited.args(["-c", "ulimit -f 2000; exec \"$0\" serve config.yml"]).arg(ours.get_program());
    let mut served = RegistryProcess::start(&mut limited);
    let content = vec![7; 5_000_000];
    let digest = Digest::sha256_of(&content);
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let refused = served.wire().send("POST", &path, &[], &content);
    assert!(refused.status >= 500, "{refused:?}");
    let path = format!("/v2/app/blobs/uploads/?digest={}", Digest::sha256_of(b"small"));
    assert_eq!(served.wire().send("POST", &path, &[], b"small").status, 201);
    assert!(served.process.terminate().success());
}
