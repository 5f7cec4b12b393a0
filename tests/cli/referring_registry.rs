//! Registries that refer the commands to hosts that are not trusted: each error names an option that the command has.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use super::support::{binary, end};

/// How the registry refers to the other name of itself, 0.0.0.0, which counts as internal and leads to this machine.
#[derive(Clone, Copy, Debug)]
enum Referral {
    Redirect,
    Realm,
}

/// A registry without content, in threads that end with their connections. The result is its URL.
fn start(referral: Referral) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            thread::spawn(move || {
                while let Some((path, headers)) = request(&mut stream) {
                    let other = format!("http://0.0.0.0:{port}");
                    let (status, header, body) = match referral {
                        _ if path.starts_with("/token") => (200, String::new(), r#"{"token":"granted"}"#),
                        Referral::Redirect if !headers.contains("host: 0.0.0.0") => {
                            (307, format!("Location: {other}{path}\r\n"), "")
                        }
                        Referral::Realm if !headers.contains("authorization: bearer granted") => {
                            (401, format!("WWW-Authenticate: Bearer realm=\"{other}/token\"\r\n"), "")
                        }
                        _ => (200, String::new(), r#"{"repositories":[]}"#),
                    };
                    let len = body.len();
                    let answer =
                        format!("HTTP/1.1 {status} X\r\n{header}Content-Length: {len}\r\n\r\n{body}");
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    format!("http://127.0.0.1:{port}")
}

/// The path of the next request and its headers, in lower case; `None` at the end.
fn request(stream: &mut impl BufRead) -> Option<(String, String)> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = String::new();
    while stream.read_line(&mut headers).ok()? > 2 {}
    Some((path, headers.to_ascii_lowercase()))
}

#[test]
fn hosts_that_a_registry_refers_to_are_trusted_by_an_option() {
    let directory = tempfile::tempdir().unwrap();
    for (referral, option) in [(Referral::Redirect, "--redirect-host"), (Referral::Realm, "--realm-host")] {
        let url = start(referral);
        let list = |options: &[&str]| {
            let args = [&["ls", "--url", &url, "--user", "alice"], options].concat();
            end(binary(directory.path()).args(args), "secret\n")
        };
        let refused = list(&[]);
        assert!(refused.code == Some(1) && refused.stderr.contains(option), "{referral:?}: {refused:?}");
        let followed = list(&[option, "0.0.0.0"]);
        assert_eq!(followed.code, Some(0), "{referral:?}: {followed:?}");
    }
    let refused =
        end(binary(directory.path()).args(["ls", "--url", "x", "--realm-host", "auth.example:1"]), "");
    assert!(refused.code == Some(2) && refused.stderr.contains("a port has no meaning"), "{refused:?}");
}
