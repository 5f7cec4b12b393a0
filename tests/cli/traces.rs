//! Traces: what arrives at a collector, and what does not disturb when there is none.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::Collector;
use super::support::binary;
use crate::clients::support::{Process, Wire, filesystem_config};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A registry whose environment has no `OTEL_*` but these.
fn start(directory: &Path, variables: &[(&str, &str)]) -> (Process, SocketAddr) {
    fs::write(directory.join("config.yml"), filesystem_config(&directory.join("data"))).unwrap();
    let mut command: Command = binary(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let process = Process::start(command.envs(variables.iter().copied()).args(["serve", "config.yml"]));
    let address = process.wait_for(|line| {
        let address = line.split_once("listening on ")?.1;
        address.split(['"', ',', ' ']).next()?.parse().ok()
    });
    (process, address)
}

/// Pushes a blob, and pulls it as a part of the caller's trace.
fn push_and_pull(address: SocketAddr) {
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let mut wire = Wire::connect(address);
    let push = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    assert_eq!(wire.send("POST", &push, &[], b"abc").status, 201);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let pull = format!("/v2/team/app/blobs/{digest}");
    let answer = wire.send("GET", &pull, &[("traceparent", &parent)], b"");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"abc"[..]));
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_pull_is_one_trace_from_the_caller_down_to_the_driver() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let (mut process, address) =
        start(directory.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]);
    push_and_pull(address);
    // What was not sent yet is sent at the end.
    assert!(process.terminate().success());

    let received = collector.received();
    let spans: Vec<&Span> = received.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let request = spans.iter().find(|span| hex(&span.parent_span_id) == CALLER).unwrap();
    assert_eq!(request.name, "GET blob");
    assert_eq!(text(request, "registry.repository"), Some("team/app"));
    assert!(text(request, "registry.request.id").is_some(), "{request:?}");
    let below = |parent: &Span| -> Vec<&Span> {
        spans.iter().filter(|span| span.parent_span_id == parent.span_id).copied().collect()
    };
    let engine = below(request);
    assert!(engine.iter().all(|span| span.name.starts_with("engine.")), "{engine:?}");
    let drivers: Vec<&Span> = engine.iter().flat_map(|span| below(span)).collect();
    assert!(drivers.iter().any(|span| span.name == "driver.reader"), "{drivers:?}");
    assert_eq!(spans.len(), 1 + engine.len() + drivers.len(), "nothing else is in the trace: {spans:#?}");
    assert!(drivers.iter().all(|span| text(span, "storage.driver") == Some("filesystem")));
    // The push had no caller and is a trace of its own.
    let push = received.iter().find(|span| span.name == "POST blob_upload").unwrap();
    assert!(push.parent_span_id.is_empty() && hex(&push.trace_id) != TRACE);
    assert_eq!(collector.services(), ["sampan"]);
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_disturbs_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{closed}");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "10")];
    let (mut process, address) = start(directory.path(), &variables);
    push_and_pull(address);
    process.wait_for(|line| line.contains("sending traces fails").then_some(()));
    push_and_pull(address);
    assert!(process.terminate().success());
    let log = process.log();
    assert_eq!(log.matches("sending traces fails").count(), 1, "{log}");
    assert!(log.contains(&endpoint) && log.contains("Connection refused"), "{log}");
    assert!(!log.contains("level=error"), "{log}");
}

#[test]
fn an_exporter_that_there_is_not_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let (process, address) = start(directory.path(), &[("OTEL_TRACES_EXPORTER", "zipkin")]);
    push_and_pull(address);
    process.wait_to_say("OTEL_TRACES_EXPORTER is `zipkin`");
}

#[test]
fn nothing_is_sent_when_nothing_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let endpoint = collector.url();
    let variables = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let (mut process, address) = start(directory.path(), &variables);
    push_and_pull(address);
    assert!(process.terminate().success());
    assert!(collector.received().is_empty());
}
