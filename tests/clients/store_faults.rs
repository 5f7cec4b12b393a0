//! A faulty proxy to the store, over Ceph: connections cut in every phase, and a store that refuses.
//!
//! Invariants: the registry never loses acknowledged content, errors are accurate, the upload continues from where it is, and
//! in the end the blob is complete.

use std::thread;

use sampan_engine::oci::Digest;
use tempfile::TempDir;

use super::support::{
    Answer, Fault, FlakyProxy, RegistryProcess, Sort, StoreServer, random, registry, without_purge,
};

/// A registry behind a faulty proxy.
struct FaultyStore {
    line: FlakyProxy,
    registry: RegistryProcess,
    _directory: TempDir,
    _store: StoreServer,
}

impl FaultyStore {
    #[track_caller]
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreServer::ceph();
        let line = FlakyProxy::to(store.text("regionendpoint"));
        let config = store.config(&format!("faults-{:016x}", rand::random::<u64>()), |section| {
            section["chunksize"] = (5 << 20).into();
            section["regionendpoint"] = format!("http://{}", line.address).into();
        });
        let registry = registry(directory.path(), &without_purge(&config));
        Self { line, registry, _directory: directory, _store: store }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.registry.wire().send(method, path, headers, body)
    }

    /// Pushes as a patient client does: after a failure it asks for the offset of the upload and continues from there. Returns
    /// the failures on the way.
    #[track_caller]
    fn push(&self, content: &[u8]) -> Vec<Answer> {
        let mut failures = Vec::new();
        let mut begun = self.send("POST", "/v2/app/blobs/uploads/", &[], b"");
        while begun.status != 202 {
            failures.push(begun);
            assert!(failures.len() < 5, "{failures:?}");
            begun = self.send("POST", "/v2/app/blobs/uploads/", &[], b"");
        }
        let location = begun.location();
        let digest = Digest::sha256_of(content);
        let (mut at, mut acknowledged) = (0, 0);
        let ends = [FIRST.min(content.len()), content.len()];
        loop {
            let answer = match ends.into_iter().find(|end| *end > at) {
                Some(end) => {
                    let range = format!("{at}-{}", end - 1);
                    let chunk = &content[at..end];
                    let answer = self.send("PATCH", &location, &[("Content-Range", &range)], chunk);
                    if answer.status == 202 {
                        (at, acknowledged) = (end, end);
                        continue;
                    }
                    answer
                }
                None => self.send("PUT", &format!("{location}?digest={digest}"), &[], b""),
            };
            if answer.status == 201 {
                return failures;
            }
            failures.push(answer);
            assert!(failures.len() < 5, "{failures:?}");
            let status = self.send("GET", &location, &[], b"");
            match status.status {
                204 => {
                    let last: usize = status.header("range").unwrap()[2..].parse().unwrap();
                    at = if last == 0 { 0 } else { last + 1 };
                    assert!(at >= acknowledged, "{acknowledged} bytes were acknowledged, {at} are there");
                }
                // The request that published the blob may have lost its answer.
                404 => {
                    let head = self.send("HEAD", &format!("/v2/app/blobs/{digest}"), &[], b"");
                    assert_eq!(head.status, 200, "the upload is gone and no blob is there: {failures:?}");
                    return failures;
                }
                _ => failures.push(status),
            }
        }
    }

    #[track_caller]
    fn pull(&self, content: &[u8]) {
        let path = format!("/v2/app/blobs/{}", Digest::sha256_of(content));
        assert_eq!(self.send("HEAD", &path, &[], b"").status, 200);
        let pulled = self.send("GET", &path, &[], b"");
        assert!(pulled.status == 200 && pulled.body == content, "{}", pulled.status);
    }
}

/// A substring of all keys of a sort, the sort, and the fault.
type Row = (&'static str, Sort, Fault);

fn rows() -> Vec<Row> {
    let refusals = [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")];
    let refusals = refusals.map(|(status, code)| Fault::Answer(status, code));
    let mut rows = Vec::new();
    for (index, (key, sort, has_body, has_answer)) in [
        ("", Sort::Begin, false, true),
        ("", Sort::Part, true, false),
        ("", Sort::Complete, true, true),
        ("", Sort::Copy, false, true),
        ("", Sort::Delete, true, true),
        ("", Sort::Get, false, true),
        ("%21upload", Sort::Get, false, true),
        ("/blobs/", Sort::Get, false, true),
        ("", Sort::Head, false, false),
        ("startedat", Sort::Put, true, false),
        ("_layers", Sort::Put, true, false),
        ("", Sort::State, true, false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut faults = vec![Fault::CutAtOnce, Fault::CutBeforeAnswer, refusals[index % 3]];
        faults.extend(has_body.then_some(Fault::CutInRequest));
        faults.extend(has_answer.then_some(Fault::CutInAnswer));
        rows.extend(faults.into_iter().map(|fault| (key, sort, fault)));
    }
    rows
}

#[test]
#[ignore = "needs ceph, as root"]
fn one_failure_of_the_line_or_the_store_is_no_failure_of_a_push_or_a_pull() {
    in_four_places(&rows(), |place, (key, sort, fault)| {
        let content = random(SIZE);
        place.line.fail_at(*key, *sort, *fault, 1);
        let failures = place.push(&content);
        assert!(failures.is_empty(), "{fault:?} of {sort:?} {key}: {failures:?}");
        place.pull(&content);
        assert!(!place.line.heal(), "{fault:?} of {sort:?} {key} did not come to pass");
    });
}

/// Tries a quarter of the `rows` in each of four places at once.
#[track_caller]
fn in_four_places<T: Sync>(rows: &[T], check: impl Fn(&FaultyStore, &T) + Sync) {
    let fates = thread::scope(|scope| {
        let check = &check;
        let places = rows.chunks(rows.len().div_ceil(4)).map(|rows| {
            scope.spawn(move || {
                let place = FaultyStore::new();
                rows.iter().for_each(|row| check(&place, row));
            })
        });
        let places: Vec<_> = places.collect();
        places.into_iter().map(|place| place.join().is_ok()).collect::<Vec<_>>()
    });
    assert_eq!(fates, [true; 4], "see above");
}

/// The store's answer while it refuses everything, the answer to clients, and the message in the log.
type StartRefused = (Fault, u16, &'static str, &'static str);

const REFUSALS: [StartRefused; 8] = [
    (Fault::Answer(503, "SlowDown"), 503, "UNAVAILABLE", "SlowDown"),
    (Fault::Answer(429, "TooManyRequests"), 503, "UNAVAILABLE", "TooManyRequests"),
    (Fault::Answer(507, "StorageFull"), 503, "the registry's storage is full", "StorageFull"),
    (Fault::CutAtOnce, 503, "UNAVAILABLE", "store unavailable"),
    (Fault::Answer(404, "NoSuchBucket"), 503, "UNAVAILABLE", "NoSuchBucket"),
    (Fault::Answer(400, "ExpiredToken"), 500, "UNKNOWN", "ExpiredToken"),
    (Fault::Answer(403, "InvalidAccessKeyId"), 500, "UNKNOWN", "InvalidAccessKeyId"),
    (Fault::Answer(403, "RequestTimeTooSkewed"), 500, "UNKNOWN", "RequestTimeTooSkewed"),
];

#[test]
#[ignore = "needs ceph, as root"]
fn a_store_that_refuses_for_long_is_told_and_the_upload_goes_on_afterwards() {
    in_four_places(&REFUSALS, refuses_for_long);
}

#[track_caller]
fn refuses_for_long(place: &FaultyStore, (fault, status, told, logged): &StartRefused) {
    let (pushed, content) = (random(1000), random(SIZE));
    place.push(&pushed);
    let digest = Digest::sha256_of(&content);
    let location = place.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    assert_eq!(place.send("PATCH", &location, &[], &content[..FIRST]).status, 202);

    place.line.fail(Sort::Any, *fault, usize::MAX);
    let check = |method: &str, path: &str, body: &[u8]| {
        let answer = place.send(method, path, &[], body);
        let text = String::from_utf8_lossy(&answer.body);
        // The registry never answers "unknown" when it could not find out.
        assert_eq!(answer.status, *status, "{fault:?}, {method} {path}: {text}");
        assert!(method == "HEAD" || text.contains(told), "{fault:?}, {method} {path}: {text}");
    };
    check("PATCH", &location, &content[FIRST..]);
    check("HEAD", &format!("/v2/app/blobs/{}", Digest::sha256_of(&pushed)), b"");
    // Requests with many attempts take seconds.
    if !matches!(fault, Fault::Answer(429.., _) | Fault::CutAtOnce) {
        check("GET", &format!("/v2/app/blobs/{}", Digest::sha256_of(&pushed)), b"");
        check("GET", "/v2/app/manifests/latest", b"");
        check("GET", "/v2/app/tags/list", b"");
        check("POST", "/v2/app/blobs/uploads/", b"");
        check("PUT", &format!("{location}?digest={digest}"), b"");
    }
    place.registry.process.wait_to_say(logged);

    place.line.heal();
    let there = place.send("GET", &location, &[], b"");
    assert_eq!(there.header("range"), Some(format!("0-{}", FIRST - 1).as_str()), "{fault:?}: {there:?}");
    let finished = place.send("PUT", &format!("{location}?digest={digest}"), &[], &content[FIRST..]);
    assert_eq!(finished.status, 201, "{fault:?}: {finished:?}");
    place.pull(&content);
    place.pull(&pushed);
}

#[test]
#[ignore = "needs ceph, as root"]
fn an_upload_that_the_store_has_lost_is_unknown_and_is_begun_anew() {
    let place = FaultyStore::new();
    for (sort, fault) in [
        (Sort::Part, Fault::Answer(404, "NoSuchUpload")),
        (Sort::Complete, Fault::Answer(404, "NoSuchUpload")),
        // The store acknowledged the part, and then, rightly, denied that it is part of the upload.
        (Sort::Part, Fault::Lost),
    ] {
        let content = random(SIZE);
        let digest = Digest::sha256_of(&content);
        let location = place.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
        place.line.fail(sort, fault, 1);
        let mut answer = place.send("PATCH", &location, &[], &content);
        if answer.status == 202 {
            answer = place.send("PUT", &format!("{location}?digest={digest}"), &[], b"");
        }
        assert!(!place.line.heal());
        assert_eq!(answer.status, 404, "{fault:?} of {sort:?}: {answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("BLOB_UPLOAD_UNKNOWN"), "{answer:?}");
        let head = place.send("HEAD", &format!("/v2/app/blobs/{digest}"), &[], b"");
        assert_eq!(head.status, 404, "{fault:?} of {sort:?}");
        assert_eq!(place.push(&content).len(), 0);
        place.pull(&content);
    }
}

/// The store reports that the state has changed.
#[test]
#[ignore = "needs ceph, as root"]
fn a_stale_state_is_not_written_over() {
    let place = FaultyStore::new();
    let content = random(SIZE);
    let location = place.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    assert_eq!(place.send("PATCH", &location, &[], &content[..FIRST]).status, 202);
    place.line.fail(Sort::State, Fault::Answer(412, "PreconditionFailed"), 1);
    let refused = place.send("PATCH", &location, &[], &content[FIRST..]);
    assert_eq!(refused.status, 503, "{refused:?}");
    place.registry.process.wait_to_say("another writer has continued this upload");
    let there = place.send("GET", &location, &[], b"");
    assert_eq!(there.header("range"), Some(format!("0-{}", FIRST - 1).as_str()), "{there:?}");
    let url = format!("{location}?digest={}", Digest::sha256_of(&content));
    assert_eq!(place.send("PUT", &url, &[], &content[FIRST..]).status, 201);
    place.pull(&content);
}

/// More than a part, so that there is a request of each sort.
const FIRST: usize = 6_000_000;

const SIZE: usize = FIRST + 500_000;
