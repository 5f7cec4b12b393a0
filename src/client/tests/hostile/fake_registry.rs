//! `FakeRegistry`: uploads and blobs in memory, with the flaws that a test wants.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use sampan_engine::oci::Digest;

use crate::server::{Reply, Seen, Server};
use crate::support::digest;

/// How the registry differs from a good one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaws {
    /// The numbers of the writing requests (`PATCH` and `PUT`, from 0) whose connection breaks after so many bytes; the bytes
    /// that arrived are kept.
    pub(crate) breaks: Vec<(usize, usize)>,
    /// The numbers of writing requests that are carried out, and whose answer is lost.
    pub(crate) lost_answers: Vec<usize>,
    /// The numbers of writing requests after which the upload is forgotten.
    pub(crate) forgets: Vec<usize>,
    /// Broken requests leave nothing of their bytes.
    pub(crate) forgets_partial: bool,
    /// Broken requests leave their bytes damaged.
    pub(crate) damages_partial: bool,
    /// Refuses bodies longer than this with 413.
    pub(crate) max_body: Option<usize>,
    pub(crate) min_chunk: Option<usize>,
    /// Answers to requests to mount: 202 begins an upload, 201 mounts.
    pub(crate) mount_status: Option<u16>,
    /// `Location` is absolute.
    pub(crate) is_absolute: bool,
}

#[derive(Default)]
struct State {
    uploads: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    requests: usize,
    next: usize,
    /// The state in the query of the last `Location` of an upload.
    turns: BTreeMap<String, usize>,
    cancelled: HashSet<String>,
}

pub(crate) struct FakeRegistry {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    pub(crate) async fn start(flaws: Flaws) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (cut_state, cut_flaws) = (state.clone(), flaws.clone());
        let cutter = move |seen: &Seen| {
            if !matches!(seen.method.as_str(), "PATCH" | "PUT") {
                return None;
            }
            let number = cut_state.lock().unwrap().requests;
            cut_flaws.breaks.iter().find(|(index, _)| *index == number).map(|(_, bytes)| *bytes)
        };
        let shared = state.clone();
        let handler = move |seen: &Seen| answer(&mut shared.lock().unwrap(), &flaws, seen);
        Self { server: Server::start_with(None, cutter, handler).await, state }
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.state.lock().unwrap().blobs.get(&digest.to_string()).cloned()
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// How many bytes arrived in bodies.
    pub(crate) fn received(&self) -> usize {
        self.server.seen().iter().map(|seen| seen.body.len()).sum()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.server.seen().iter().filter(|seen| seen.method == method).count()
    }
}

fn answer(state: &mut State, flaws: &Flaws, seen: &Seen) -> Reply {
    let path = seen.path();
    if let Some(name) = path.strip_prefix("/v2/team/app/blobs/sha256:") {
        return match state.blobs.get(&format!("sha256:{name}")) {
            Some(bytes) => Reply::new(200).body(bytes.clone()),
            None => Reply::new(404),
        };
    }
    let Some(id) = path.strip_prefix("/v2/team/app/blobs/uploads/").map(str::to_owned) else {
        return Reply::new(404);
    };
    if seen.method == "POST" {
        if let ([wanted], Some(status)) = (&seen.query("mount")[..], flaws.mount_status) {
            match status {
                201 => return Reply::new(201).header("Docker-Content-Digest", wanted),
                202 => {}
                status => return Reply::new(status),
            }
        }
        state.next += 1;
        let id = format!("u{}", state.next);
        state.uploads.insert(id.clone(), Vec::new());
        return located(state, flaws, seen, Reply::new(202), &id);
    }
    let is_write = matches!(seen.method.as_str(), "PATCH" | "PUT");
    let number = state.requests;
    if is_write {
        state.requests += 1;
    }
    if flaws.forgets.contains(&number) && is_write {
        state.uploads.remove(&id);
    }
    let Some(before) = state.uploads.get(&id).cloned() else { return Reply::new(404) };
    // Each request must follow the `Location` of the one before.
    if seen.query("turn") != [state.turns[&id].to_string()] && seen.method != "GET" {
        return Reply::new(404);
    }
    if seen.method == "GET" {
        let end = before.len().saturating_sub(1);
        let reply = Reply::new(204).header("Range", format!("0-{end}"));
        return located(state, flaws, seen, reply, &id);
    }
    if seen.method == "DELETE" {
        state.uploads.remove(&id);
        state.cancelled.insert(id);
        return Reply::new(204);
    }
    let announced = seen.header("content-length").unwrap().parse::<usize>().unwrap();
    if flaws.max_body.is_some_and(|most| announced > most) {
        return Reply::new(413);
    }
    if seen.method == "PATCH" {
        let range = seen.header("content-range").unwrap();
        let expected = format!("{}-{}", before.len(), before.len() + announced - 1);
        if range != expected {
            return located(state, flaws, seen, Reply::new(416), &id);
        }
    }
    let mut after = before.clone();
    let is_whole = seen.body.len() == announced;
    match (is_whole, flaws.forgets_partial, flaws.damages_partial) {
        (false, true, _) => {}
        (false, _, true) => after.extend(seen.body.iter().map(|byte| byte ^ 1)),
        _ => after.extend_from_slice(&seen.body),
    }
    state.uploads.insert(id.clone(), after.clone());
    if !is_whole {
        return Reply::broken();
    }
    let reply = if seen.method == "PUT" {
        let wanted = seen.query("digest").pop().unwrap();
        if digest(&after).to_string() != wanted {
            state.uploads.insert(id.clone(), before);
            let error = r#"{"errors":[{"code":"DIGEST_INVALID","message":"not that"}]}"#;
            return Reply::new(400).json(error);
        }
        state.uploads.remove(&id);
        state.blobs.insert(wanted.clone(), after);
        Reply::new(201).header("Docker-Content-Digest", wanted)
    } else {
        let reply = Reply::new(202).header("Range", format!("0-{}", after.len() - 1));
        located(state, flaws, seen, reply, &id)
    };
    match flaws.lost_answers.contains(&number) {
        true => Reply::broken(),
        false => reply,
    }
}

fn located(state: &mut State, flaws: &Flaws, seen: &Seen, reply: Reply, id: &str) -> Reply {
    let turn = state.turns.entry(id.to_owned()).or_default();
    *turn += 1;
    let host =
        if flaws.is_absolute { format!("http://{}", seen.header("host").unwrap()) } else { String::new() };
    let reply = reply.header("Location", format!("{host}/v2/team/app/blobs/uploads/{id}?turn={turn}"));
    match flaws.min_chunk {
        Some(bytes) => reply.header("OCI-Chunk-Min-Length", bytes),
        None => reply,
    }
}
