//! `S3`: the part of S3 that the driver uses, over HTTP in this process; fails on demand.
//!
//! `Faulty` fails below the HTTP client; this server fails above it, so the client's own retries count.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

mod wire;

use wire::{Answer, Request, bounds, metadata, page, read, refusal, xml, yes};

/// The kind of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    /// Any kind.
    Any,
    /// Begins a multipart upload.
    Begin,
    Complete,
    Copy,
    CopyPart,
    /// Writes an object that must not exist.
    Create,
    Delete,
    Get,
    Head,
    List,
    Other,
    Part,
    /// Writes an object, and replaces an existing one.
    Put,
    /// Writes an object that must still be the named version.
    Update,
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The store refuses, with a status and a code.
    Answer(u16, &'static str),
    /// The store carries out the request and cuts the connection before its answer.
    CutBeforeAnswer,
    /// The connection is cut in the body of the answer.
    CutInAnswer,
    /// Something before the store answers 404 with a page.
    Page,
    /// The store does nothing and never answers.
    Silence,
}

/// The store's handling of conditions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Conditions {
    #[default]
    Quoted,
    /// Compares ETags without their quotes.
    Unquoted,
    /// Accepts conditions and ignores them.
    Ignored,
    /// Answers that conditions are not supported.
    NotImplemented(u16),
}

/// A store with one bucket.
pub(crate) struct S3 {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Never signalled, so waiting for it never ends.
    never: Condvar,
}

#[derive(Default)]
struct State {
    conditions: Conditions,
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
    /// The metadata of the objects of started uploads.
    upload_metadata: BTreeMap<String, Vec<(String, String)>>,
    plans: Vec<Plan>,
    seen: Vec<(Sort, String)>,
}

struct Object {
    content: Vec<u8>,
    metadata: Vec<(String, String)>,
    modified: OffsetDateTime,
}

struct Plan {
    sort: Sort,
    fault: Fault,
    /// The number of requests of this kind that succeed first.
    after: usize,
    times: usize,
}

impl S3 {
    pub(crate) fn start(conditions: Conditions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.state().conditions = conditions;
        let serving = shared.clone();
        // These threads end with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || while shared.serve_one(&stream).is_some() {});
            }
        });
        Self { address, shared }
    }

    /// The section of the configuration file, with `extra` keys in JSON.
    pub(crate) fn section(&self, extra: &str) -> String {
        format!(
            r#"{{"region": "us-east-1", "bucket": "registry", "accesskey": "a", "secretkey": "b", "forcepathstyle": true,
                "regionendpoint": "http://{}"{extra}}}"#,
            self.address
        )
    }

    /// After `after` requests of the kind, the next `times` fail.
    pub(crate) fn fail(&self, sort: Sort, fault: Fault, after: usize, times: usize) {
        self.shared.state().plans.push(Plan { sort, fault, after, times });
    }

    /// Whether all planned failures have occurred.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.state().plans.is_empty()
    }

    /// The requests since the last call, with their keys.
    pub(crate) fn take_seen(&self) -> Vec<(Sort, String)> {
        std::mem::take(&mut self.shared.state().seen)
    }

    /// Puts an object there, as another application does.
    pub(crate) fn put(&self, key: &str, modified: OffsetDateTime) {
        let object = Object { content: b"content".to_vec(), metadata: Vec::new(), modified };
        self.shared.state().objects.insert(key.to_owned(), object);
    }

    /// The keys of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.shared.state().objects.keys().cloned().collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers one request; `None` if the connection has ended.
    fn serve_one(&self, stream: &TcpStream) -> Option<()> {
        let request = read(&mut BufReader::new(stream))?;
        let sort = request.sort();
        let (fault, answer) = {
            let mut state = self.state();
            state.seen.push((sort, request.key.clone()));
            let fault = state.fault(sort);
            match fault {
                Some(Fault::Answer(status, code)) => (fault, refusal(status, code)),
                Some(Fault::Page) => (fault, page()),
                Some(Fault::Silence) => {
                    let _state = self.never.wait_while(state, |_| true);
                    return None;
                }
                _ => (fault, state.answer(sort, &request)),
            }
        };
        if fault == Some(Fault::CutBeforeAnswer) {
            return None;
        }
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.len.unwrap_or(answer.body.len())));
        let (mut stream, is_cut) = (stream, fault == Some(Fault::CutInAnswer));
        let shown = if is_cut { answer.body.len() / 2 } else { answer.body.len() };
        stream.write_all(head.as_bytes()).ok()?;
        if request.method != "HEAD" {
            stream.write_all(&answer.body[..shown]).ok()?;
        }
        (!is_cut).then_some(())
    }
}

impl State {
    fn fault(&mut self, sort: Sort) -> Option<Fault> {
        let index = self.plans.iter().position(|plan| [Sort::Any, sort].contains(&plan.sort))?;
        let plan = &mut self.plans[index];
        if plan.after > 0 {
            plan.after -= 1;
            return None;
        }
        plan.times -= 1;
        let fault = plan.fault;
        if plan.times == 0 {
            self.plans.remove(index);
        }
        Some(fault)
    }

    fn answer(&mut self, sort: Sort, request: &Request) -> Answer {
        match sort {
            Sort::Begin => {
                let id = format!("{:032x}", rand::random::<u128>());
                self.uploads.insert(id.clone(), BTreeMap::new());
                self.upload_metadata.insert(id.clone(), metadata(request));
                xml(format!(
                    "<InitiateMultipartUploadResult><Bucket>registry</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>",
                    request.key
                ))
            }
            Sort::Part | Sort::CopyPart => self.part(sort, request),
            Sort::Complete => match self.uploads.remove(&request.query["uploadId"]) {
                None => refusal(404, "NoSuchUpload"),
                Some(parts) => {
                    let tag = self.put(request, parts.into_values().flatten().collect());
                    let metadata = self.upload_metadata.remove(&request.query["uploadId"]);
                    if let Some(object) = self.objects.get_mut(&request.key) {
                        object.metadata = metadata.unwrap_or_default();
                    }
                    xml(format!(
                        "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
                    ))
                }
            },
            Sort::Copy => match self.source(request) {
                None => refusal(404, "NoSuchKey"),
                Some(content) => {
                    let tag = self.put(request, content);
                    xml(format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"))
                }
            },
            Sort::Create | Sort::Update => self.put_if(sort, request),
            Sort::Put => {
                let tag = self.put(request, request.body.clone());
                yes(vec![("ETag".into(), tag)])
            }
            Sort::Delete => {
                let (keys, mut deleted) =
                    (String::from_utf8_lossy(&request.body).into_owned(), String::new());
                for rest in keys.split("<Key>").skip(1) {
                    let key = rest.split("</Key>").next().unwrap();
                    self.objects.remove(key);
                    deleted.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
                }
                if let Some(id) = request.query.get("uploadId") {
                    self.uploads.remove(id);
                }
                xml(format!("<DeleteResult>{deleted}</DeleteResult>"))
            }
            Sort::Get | Sort::Head => self.get(request),
            Sort::List => self.list(request),
            Sort::Any | Sort::Other => refusal(404, "NoSuchLifecycleConfiguration"),
        }
    }

    fn part(&mut self, sort: Sort, request: &Request) -> Answer {
        let content = match sort {
            Sort::CopyPart => self.source(request).unwrap_or_default(),
            _ => request.body.clone(),
        };
        let content = match request.headers.get("x-amz-copy-source-range") {
            Some(range) => content[bounds(range, content.len())].to_vec(),
            None => content,
        };
        let number: usize = request.query["partNumber"].parse().unwrap();
        let Some(parts) = self.uploads.get_mut(&request.query["uploadId"]) else {
            return refusal(404, "NoSuchUpload");
        };
        let tag = tag(&content);
        parts.insert(number, content);
        match sort {
            Sort::CopyPart => xml(format!("<CopyPartResult><ETag>{tag}</ETag></CopyPartResult>")),
            _ => yes(vec![("ETag".into(), tag)]),
        }
    }

    fn put_if(&mut self, sort: Sort, request: &Request) -> Answer {
        let found = self.objects.get(&request.key).map(|object| tag(&object.content));
        let holds = match (self.conditions, sort) {
            (Conditions::NotImplemented(status), _) => return refusal(status, "NotImplemented"),
            (Conditions::Ignored, _) => true,
            (_, Sort::Create) => found.is_none(),
            (Conditions::Quoted, _) => found.as_ref() == request.headers.get("if-match"),
            (Conditions::Unquoted, _) => {
                found.as_deref().map(|tag| tag.trim_matches('"'))
                    == request.headers.get("if-match").map(String::as_str)
            }
        };
        if !holds {
            return refusal(412, "PreconditionFailed");
        }
        let tag = self.put(request, request.body.clone());
        yes(vec![("ETag".into(), tag)])
    }

    fn put(&mut self, request: &Request, content: Vec<u8>) -> String {
        let tag = tag(&content);
        let object = Object { content, metadata: metadata(request), modified: OffsetDateTime::now_utc() };
        self.objects.insert(request.key.clone(), object);
        tag
    }

    fn source(&self, request: &Request) -> Option<Vec<u8>> {
        let source = percent_decode_str(&request.headers["x-amz-copy-source"]).decode_utf8_lossy();
        let key = source.trim_start_matches('/').strip_prefix("registry/")?;
        Some(self.objects.get(key)?.content.clone())
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = self.objects.get(&request.key) else { return refusal(404, "NoSuchKey") };
        let whole = object.content.len();
        let range = request.headers.get("range").map(|range| bounds(range, whole));
        let mut headers = vec![
            ("ETag".to_owned(), tag(&object.content)),
            ("Last-Modified".to_owned(), object.modified.format(&Rfc2822).unwrap()),
        ];
        headers.extend(object.metadata.iter().cloned());
        let body = match &range {
            None => object.content.clone(),
            Some(range) => {
                let shown = format!("bytes {}-{}/{whole}", range.start, range.end - 1);
                headers.push(("Content-Range".to_owned(), shown));
                object.content[range.clone()].to_vec()
            }
        };
        let len = Some(body.len());
        Answer { status: if range.is_some() { 206 } else { 200 }, headers, body, len }
    }

    fn list(&self, request: &Request) -> Answer {
        let asked = |name: &str| request.query.get(name).map_or("", String::as_str);
        if asked("start-after").contains(char::is_control) {
            // As Ceph.
            return refusal(500, "UnknownError");
        }
        let (prefix, mut entries) = (asked("prefix"), String::new());
        let limit = request.query.get("max-keys").map_or(1000, |limit| limit.parse().unwrap());
        let (mut last, mut count, mut next) =
            (asked("start-after").max(asked("continuation-token")), 0, String::new());
        for (key, object) in &self.objects {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let group = rest.find('/').filter(|_| asked("delimiter") == "/");
            let shown = group.map_or(key.as_str(), |slash| &key[..=prefix.len() + slash]);
            if key.as_str() <= last || shown <= last {
                continue;
            }
            if count == limit {
                next = format!("<NextContinuationToken>{last}</NextContinuationToken>");
                break;
            }
            (last, count) = (shown, count + 1);
            match group {
                Some(_) => {
                    entries.push_str(&format!("<CommonPrefixes><Prefix>{shown}</Prefix></CommonPrefixes>"));
                }
                None => entries.push_str(&format!(
                    "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                    object.modified.format(&Rfc3339).unwrap(),
                    tag(&object.content),
                    object.content.len()
                )),
            }
        }
        let more = !next.is_empty();
        xml(format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{entries}{next}</ListBucketResult>"))
    }
}

/// As in S3, the same content has the same tag.
fn tag(content: &[u8]) -> String {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("\"{:032x}\"", content.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}
