//! The log and the access log, whose readers stall, and whose last lines come although the process ends.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::support::binary;
use crate::clients::support::{filesystem_config, run, tool};

/// Enough to fill every pipe several times, and less than the queue of the log.
const REQUESTS: usize = 800;

/// A registry that logs each request twice, the reader of its standard error, which is unread but for the start, and its address.
fn serve(
    directory: &std::path::Path,
    stdout: impl Into<Stdio>,
    stderr: (PipeReader, PipeWriter),
) -> (Child, BufReader<PipeReader>, String) {
    let config = filesystem_config(&directory.join("data"));
    fs::write(directory.join("config.yml"), config).unwrap();
    let (reader, stderr) = stderr;
    let child = binary(directory)
        .args(["serve", "config.yml"])
        .envs([("REGISTRY_LOG_ACCESSLOG_DISABLED", "false"), ("REGISTRY_LOG_LEVEL", "info")])
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(reader);
    let mut line = String::new();
    while !line.contains("listening on ") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before it listened");
    }
    let address = line.split("listening on ").nth(1).unwrap();
    let end = address.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap();
    let address = address[..end].to_owned();
    (child, stderr, address)
}

fn requests(address: &str) {
    let agent = "x".repeat(1000);
    let request = format!("HEAD /v2/ HTTP/1.1\r\nHost: registry\r\nUser-Agent: {agent}\r\n\r\n");
    let mut connection = TcpStream::connect(address).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap());
    for _ in 0..REQUESTS {
        connection.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
        }
    }
}

#[test]
fn a_stalled_reader_of_the_log_stalls_no_request_and_misses_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let access_log = File::create(directory.path().join("access.log")).unwrap();
    let (mut registry, mut stderr, address) = serve(directory.path(), access_log, io::pipe().unwrap());
    requests(&address);
    run(tool("kill").arg(registry.id().to_string()));
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    assert!(registry.wait().unwrap().success());
    assert_eq!(log.matches("response completed").count(), REQUESTS);
    assert!(log.lines().last().unwrap().contains("stopped"), "{:?}", log.lines().last());
    let access = fs::read_to_string(directory.path().join("access.log")).unwrap();
    assert_eq!(access.lines().count(), REQUESTS);
}

#[test]
fn a_reader_of_the_log_that_never_comes_back_does_not_keep_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (mut registry, _unread, address) = serve(directory.path(), Stdio::null(), io::pipe().unwrap());
    requests(&address);
    run(tool("kill").arg(registry.id().to_string()));
    assert!(registry.wait().unwrap().success());
}

#[test]
fn a_reader_of_the_access_log_that_never_comes_back_does_not_keep_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (_unread, stdout) = io::pipe().unwrap();
    let (mut registry, mut stderr, address) = serve(directory.path(), stdout, io::pipe().unwrap());
    requests(&address);
    run(tool("kill").arg(registry.id().to_string()));
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    assert!(registry.wait().unwrap().success());
    assert!(log.lines().last().unwrap().contains("stopped"), "{:?}", log.lines().last());
}
