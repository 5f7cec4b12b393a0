//! What SIGHUP says at its end where something could not be replaced.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::{fs, iter, thread};

use super::support::binary;
use crate::clients::support::{Fixture, Process, RegistryProcess};

/// Sends SIGHUP and waits for a line with all these parts.
fn reload(registry: &RegistryProcess, parts: &[&str]) {
    registry.process.signal("HUP");
    registry.process.wait_for(|line| parts.iter().all(|part| line.contains(part)).then_some(()));
}

#[test]
fn the_last_line_names_what_was_not_replaced() {
    let site = Fixture::new("localhost");
    site.set_password("alice", "secret");
    let registry = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    let good = fs::read(site.path("certs/domain.crt")).unwrap();
    fs::write(site.path("certs/domain.crt"), "none").unwrap();
    let nothing = "SIGHUP: nothing was applied; not replaced";
    reload(&registry, &["level=error", nothing, "the certificates"]);
    fs::write(site.path("certs/domain.crt"), good).unwrap();
    fs::write(site.path("auth/htpasswd"), "no entry\n").unwrap();
    reload(&registry, &["level=error", nothing, "the users and passwords"]);
    fs::remove_file(site.path("sampan.yml")).unwrap();
    reload(&registry, &["level=error", "SIGHUP: cannot apply", "No such file or directory"]);
}

#[test]
fn a_sighup_during_the_start_is_one_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let section = format!(
        "{{region: local, regionendpoint: 'http://{}', bucket: images, forcepathstyle: true, accesskey: key, secretkey: secret}}",
        store.local_addr().unwrap()
    );
    let config = format!("version: 0.1\nstorage: {{s3: {section}}}\nhttp: {{addr: '127.0.0.1:0'}}\n");
    fs::write(directory.path().join("config.yml"), config).unwrap();
    let mut registry = Process::start(binary(directory.path()).args(["serve", "config.yml"]));
    let (first, _) = store.accept().unwrap();
    registry.signal("HUP");
    thread::spawn(move || {
        for question in iter::once(first).chain(store.incoming().map_while(Result::ok)) {
            thread::spawn(move || answer(question));
        }
    });
    registry.wait_to_say("listening on ");
    registry.wait_to_say("SIGHUP: nothing has changed in");
    assert!(registry.terminate().success());
}

/// Answers as an object store with an empty bucket that takes everything.
fn answer(mut question: TcpStream) {
    let mut lines = BufReader::new(question.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(line) = lines.next() else { return };
    if lines.any(|line| line.is_empty()) {
        let (status, body) = match line.split_once(' ').unwrap() {
            ("GET", query) if query.contains("list-type") => {
                let body = "<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>";
                ("200 OK", format!("<ListBucketResult>{body}</ListBucketResult>"))
            }
            ("GET" | "HEAD", _) => ("404 Not Found", String::new()),
            _ => ("200 OK", "<DeleteResult></DeleteResult>".to_owned()),
        };
        let head = format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\n", body.len());
        let _ = question.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        let _ = io::copy(&mut question, &mut io::sink());
    }
}
