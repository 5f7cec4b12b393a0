//! `Range` of a blob: an answer has exactly the bytes that it names.

use std::cell::LazyCell;

use sampan_engine::oci::Digest;

use super::service::Service;

const SIZE: usize = 1000;

thread_local! {
    static STORED: LazyCell<(Service, String, Vec<u8>)> = LazyCell::new(|| {
        let service = Service::new();
        let content: Vec<u8> = (0..SIZE).map(|at| (at * 7 + at / 256) as u8).collect();
        let digest = Digest::sha256_of(&content);
        let path = format!("/v2/app/blobs/uploads/?digest={digest}");
        let pushed = service.call("POST", &path, &[], &content).expect("a request");
        assert_eq!(pushed.status, 201);
        (service, format!("/v2/app/blobs/{digest}"), content)
    });
}

pub(super) fn run(data: &[u8]) {
    STORED.with(|stored| {
        let (service, path, content) = &**stored;
        let Some(answer) = service.call("GET", path, &[("range", data)], b"") else { return };
        match answer.status.as_u16() {
            200 => assert!(answer.body == content, "{answer:?}"),
            206 => match answer.header("content-range") {
                Some(range) => assert!(answer.body == part(content, range), "{answer:?}"),
                None => check_parts(content, &answer.body, answer.header("content-type")),
            },
            416 => assert_eq!(answer.header("content-range"), Some("bytes */1000"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        let announced =
            answer.header("content-length").map(|length| length.parse::<usize>().expect("a length"));
        assert!(announced.is_none_or(|length| length == answer.body.len()), "{answer:?}");
    });
}

/// The bytes that `bytes 0-9/1000` names.
fn part<'a>(content: &'a [u8], range: &str) -> &'a [u8] {
    let range = range.strip_prefix("bytes ").and_then(|range| range.strip_suffix("/1000")).expect("a range");
    let (first, last) = range.split_once('-').expect("a range");
    &content[first.parse().expect("a number")..=last.parse().expect("a number")]
}

fn check_parts(content: &[u8], body: &[u8], kind: Option<&str>) {
    let boundary = kind.and_then(|kind| kind.split_once("boundary=")).expect("a boundary").1;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut rest = body;
    let mut parts = 0;
    loop {
        let at = find(rest, delimiter.as_bytes()).expect("a delimiter");
        rest = &rest[at + delimiter.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        let headers = find(rest, b"\r\n\r\n").expect("headers");
        let text = std::str::from_utf8(&rest[..headers]).expect("text").to_ascii_lowercase();
        let range = text.lines().find_map(|line| line.strip_prefix("content-range: ")).expect("a range");
        let expected = part(content, range);
        assert!(rest[headers + 4..].starts_with(expected), "{range}");
        rest = &rest[headers + 4 + expected.len()..];
        parts += 1;
    }
    assert!(parts >= 2, "{parts} parts");
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
