//! `History`: the requests and answers of all clients, in order.

use std::fmt;

use parking_lot::{Mutex, MutexGuard};

/// The number of tags.
pub(super) const TAGS: usize = 2;
/// The number of manifests: two images, and an index of the first.
pub(super) const MANIFESTS: usize = 3;
/// The index.
pub(super) const INDEX: u8 = 2;

/// A request of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Push { manifest: u8, tag: Option<u8> },
    DeleteTag(u8),
    Delete(u8),
    ReadTag(u8),
    Read(u8),
    List,
}

impl Request {
    /// Whether the request may change the target of the tag.
    pub(super) fn may_change(self, of: u8) -> bool {
        match self {
            Self::Push { tag, .. } => tag == Some(of),
            Self::DeleteTag(tag) => tag == of,
            Self::Delete(_) => true,
            Self::ReadTag(_) | Self::Read(_) | Self::List => false,
        }
    }
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestOutcome {
    /// 201 or 202.
    Done,
    /// 404.
    Unknown,
    /// 400: a reference of the manifest is missing.
    Incomplete,
    /// 200, with this manifest.
    Found(u8),
    /// 200, with these tags.
    Listed(TagSet),
}

/// A bit for each tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TagSet(pub(super) u8);

/// A request and its answer, if it had a conclusive one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) client: usize,
    pub(super) request: Request,
    pub(super) outcome: Option<RequestOutcome>,
}

/// A call, or the answer to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    Called(u16),
    Answered(u16),
    /// The call failed: its effect is unknown, but it has none from now on.
    Failed(u16),
}

impl Event {
    pub(super) fn call(self) -> u16 {
        match self {
            Self::Called(call) | Self::Answered(call) | Self::Failed(call) => call,
        }
    }
}

/// All requests to a repository.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) calls: Vec<Call>,
    pub(super) events: Vec<Event>,
}

impl History {
    pub(super) fn call(&mut self, client: usize, request: Request) -> u16 {
        let number = u16::try_from(self.calls.len()).unwrap_or(u16::MAX);
        self.calls.push(Call { client, request, outcome: None });
        self.events.push(Event::Called(number));
        number
    }

    pub(super) fn answer(&mut self, call: u16, outcome: RequestOutcome) {
        self.calls[usize::from(call)].outcome = Some(outcome);
        self.events.push(Event::Answered(call));
    }

    fn fail(&mut self, call: u16) {
        self.events.push(Event::Failed(call));
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            let Call { client, request, outcome } = self.calls[usize::from(event.call())];
            write!(f, "\n    {:3} client {client} ", event.call())?;
            match event {
                Event::Called(_) => write!(f, "asks {request:?}")?,
                Event::Answered(_) => match outcome {
                    Some(outcome) => write!(f, "is answered {outcome:?}")?,
                    None => f.write_str("is answered nothing")?,
                },
                Event::Failed(_) => f.write_str("gets an error")?,
            }
        }
        Ok(())
    }
}

/// A history that several clients record.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<History>);

impl Recorder {
    pub(super) fn call(&self, client: usize, request: Request) -> u16 {
        self.lock().call(client, request)
    }

    pub(super) fn answer(&self, call: u16, outcome: RequestOutcome) {
        self.lock().answer(call, outcome);
    }

    pub(super) fn fail(&self, call: u16) {
        self.lock().fail(call);
    }

    pub(super) fn history(&self) -> History {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        // Held to write one line.
        self.0.lock()
    }
}
