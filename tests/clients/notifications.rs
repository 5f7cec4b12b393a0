//! Notifications: the events that a receiver gets for the requests of clients, and their fate while it is down.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sampan_engine::oci::Digest;
use serde_json::{Value, json};

use super::support::{
    Process, Receiver, ReceiverMode, RegistryProcess, Wire, filesystem_config, registry, tool,
};

fn section(receiver: &Receiver, more: &str) -> String {
    format!(
        "notifications: {{endpoints: [{{name: portal, url: '{}', timeout: 500ms, threshold: 2, backoff: 50ms{more}}}]}}\n",
        receiver.url()
    )
}

fn telling_registry(directory: &Path, receiver: &Receiver, more: &str) -> RegistryProcess {
    registry(directory, &(filesystem_config(&directory.join("data")) + &section(receiver, more)))
}

fn put_blob(wire: &mut Wire, repository: &str, content: &[u8]) -> Digest {
    let digest = Digest::sha256_of(content);
    let begun = wire.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    let location = begun.location();
    let sign = if location.contains('?') { '&' } else { '?' };
    let put = wire.send("PUT", &format!("{location}{sign}digest={digest}"), &[], content);
    assert_eq!(put.status, 201, "{put:?}");
    digest
}

const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// All actions that have events, the same for every registry.
fn script(address: SocketAddr) {
    let mut wire = Wire::connect(address);
    let config = put_blob(&mut wire, "team/app", b"{}");
    let layer = put_blob(&mut wire, "team/app", b"layer");
    let mount = format!("/v2/team/other/blobs/uploads/?mount={layer}&from=team/app");
    assert_eq!(wire.send("POST", &mount, &[], b"").status, 201);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": config },
        "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 5, "digest": layer }],
    })
    .to_string();
    let digest = Digest::sha256_of(manifest.as_bytes());
    let (by_tag, by_digest) =
        ("/v2/team/app/manifests/v1".to_owned(), format!("/v2/team/app/manifests/{digest}"));
    let blob = format!("/v2/team/app/blobs/{layer}");
    let typed = [("Content-Type", MANIFEST_TYPE)];
    let accept = [("Accept", MANIFEST_TYPE)];
    for (method, path, headers, body, status) in [
        ("PUT", &by_tag, &typed, manifest.as_str(), 201),
        ("PUT", &by_digest, &typed, &manifest, 201),
        ("HEAD", &by_tag, &accept, "", 200),
        ("GET", &by_tag, &accept, "", 200),
        ("GET", &by_digest, &accept, "", 200),
        ("HEAD", &blob, &accept, "", 200),
        ("GET", &blob, &accept, "", 200),
        ("DELETE", &blob, &accept, "", 202),
        ("DELETE", &by_digest, &accept, "", 202),
    ] {
        let answer = wire.send(method, path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
}

/// The content of an event, without what differs from run to run.
fn gist(event: &Value) -> Value {
    let mut event = event.clone();
    for (section, field) in [
        ("", "id"),
        ("", "timestamp"),
        ("target", "url"),
        ("request", "id"),
        ("request", "addr"),
        ("request", "host"),
        ("source", "addr"),
        ("source", "instanceID"),
    ] {
        let value = if section.is_empty() { &mut event[field] } else { &mut event[section][field] };
        assert!(value.is_string() || field == "url", "{section}.{field} is missing");
        *value = if value.is_null() { Value::Null } else { json!("…") };
    }
    event
}

#[test]
#[ignore = "needs docker-registry"]
fn events_are_those_of_distribution() {
    let (ours, theirs) = (Receiver::start(), Receiver::start());
    let directory = tempfile::tempdir().unwrap();
    let sampan = telling_registry(directory.path(), &ours, "");
    script(sampan.address);

    // Distribution cannot report a port that the kernel chose, so it gets one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config =
        filesystem_config(&directory.path().join("debian")).replace("127.0.0.1:0", &address.to_string());
    let path = directory.path().join("debian.yml");
    std::fs::write(&path, config + &section(&theirs, "")).unwrap();
    let debian = Process::start(tool("docker-registry").arg("serve").arg(path));
    debian.wait_for(|line| line.contains("listening on").then_some(()));
    script(address);

    // This registry also reports that the tag was deleted with its manifest; that event comes first.
    let theirs: Vec<Value> = theirs.events(12).iter().map(gist).collect();
    let mut ours: Vec<Value> = ours.events(13).iter().map(gist).collect();
    let untagged = ours.remove(11);
    assert_eq!((&untagged["action"], &untagged["target"]["tag"]), (&json!("delete"), &json!("v1")));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

#[test]
#[ignore = "real processes and signals"]
fn events_survive_a_receiver_that_is_ill_and_a_registry_that_is_killed() {
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let mut first = telling_registry(directory.path(), &receiver, "");
    put_blob(&mut first.wire(), "app", b"0");
    receiver.wait_for(1);
    receiver.is(ReceiverMode::Fails);
    for number in 1..5 {
        put_blob(&mut first.wire(), "app", number.to_string().as_bytes());
    }
    receiver.wait_for_attempts(6);
    receiver.is(ReceiverMode::Hangs);
    for number in 5..8 {
        put_blob(&mut first.wire(), "app", number.to_string().as_bytes());
    }
    first.process.kill();

    let second = telling_registry(directory.path(), &receiver, "");
    put_blob(&mut second.wire(), "app", b"8");
    receiver.is(ReceiverMode::Takes);
    let digests: Vec<Value> =
        receiver.events(9).iter().map(|event| event["target"]["digest"].clone()).collect();
    let expected: Vec<Value> =
        (0..9).map(|number| json!(Digest::sha256_of(number.to_string().as_bytes()))).collect();
    assert_eq!(digests, expected);
}

#[test]
#[ignore = "a real process"]
fn bodies_are_signed_headers_added_and_what_is_ignored_is_not_told() {
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let more = ", secret: hush, headers: {Authorization: [Bearer x]}, ignore: {actions: [push]}";
    let registry = telling_registry(directory.path(), &receiver, more);
    script(registry.address);
    let taken = receiver.wait_for(9);
    let (headers, body) = &taken[0];
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"hush");
    let tag = aws_lc_rs::hmac::sign(&key, body.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["x-sampan-signature"], format!("sha256={hex}"));
    assert_eq!(headers["authorization"], "Bearer x");
    assert_eq!(headers["content-type"], "application/vnd.docker.distribution.events.v2+json");
    let actions: Vec<Value> = receiver.events(9).iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["mount", "pull", "pull", "pull", "pull", "pull", "delete", "delete", "delete"]);
}

/// A pipe plays a disk that hangs: opening it for writing blocks until another process reads.
#[test]
fn a_disk_that_hangs_below_the_queue_holds_up_neither_pushes_nor_the_end() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let directory = tempfile::tempdir().unwrap();
    let queue = directory.path().join("queue/portal-d0960501");
    fs::create_dir_all(&queue).unwrap();
    // After a segment of this length, the queue begins another.
    fs::write(queue.join("00000000000000000001.events"), "x".repeat(1 << 20) + "\n").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        + &format!(
            "notifications:\n  queue: {{directory: {}}}\n  endpoints: [{{name: portal, url: 'http://{closed}/', threshold: 1, \
             backoff: 50ms}}]\n",
            directory.path().join("queue").display()
        );
    let mut registry = registry(directory.path(), &config);
    mknodat(CWD, queue.join("00000000000000000002.events"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();

    let mut wire = registry.wire();
    put_blob(&mut wire, "team/app", b"one");
    put_blob(&mut wire, "team/app", b"two");
    registry.process.wait_to_say("the disk does not accept the notifications for portal");

    let (sender, ended) = channel();
    thread::spawn(move || sender.send(registry.process.terminate()));
    assert!(ended.recv_timeout(Duration::from_secs(30)).expect("the process does not end").success());
}
