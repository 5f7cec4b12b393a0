//! `Notifier`: queues events for every endpoint that wants them.

use std::fmt;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use sampan_engine::{Event, EventKind};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::backlog::Disk;
use super::endpoint::{Endpoint, EndpointSettings};
use super::envelope::{Record, References, SourceRecord};
use super::queue::{Counts, Queue};
use super::request::RequestSink;
use super::write_buffer::Wait;
use crate::blocking::on_blocking_pool;
use crate::http_client::{self, HttpClientError};

/// The settings of notifications.
#[derive(Clone)]
pub struct NotifierSettings {
    /// Whether a manifest's event lists the manifest's references.
    pub include_references: bool,
    /// The endpoints; their names are unique.
    pub endpoints: Vec<EndpointSettings>,
    /// The directory of the queues; `None` keeps them in memory.
    pub directory: Option<PathBuf>,
    /// The most bytes queued for one endpoint.
    pub max_bytes: u64,
    /// The host and port of this process, as events name it.
    pub source: String,
}

/// Endpoints that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Creating the HTTP client failed.
    #[error("notifications")]
    Client(#[from] HttpClientError),
}

/// Queues and delivers events.
pub struct Notifier {
    endpoints: Vec<Endpoint>,
    references: References,
    source: SourceRecord,
}

impl Notifier {
    /// Opens the queues. Replaces one that does not open by one in memory, and logs it.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub async fn open(settings: NotifierSettings) -> Result<Self, NotifyError> {
        on_blocking_pool(move || Self::open_now(settings)).await
    }

    fn open_now(settings: NotifierSettings) -> Result<Self, NotifyError> {
        let NotifierSettings { include_references, endpoints, directory, max_bytes, source } = settings;
        if directory.is_none() && !endpoints.is_empty() {
            tracing::warn!(
                "notifications are queued in memory and lost when the registry stops: set notifications.queue.directory"
            );
        }
        let mut opened = Vec::new();
        for settings in endpoints {
            let client = http_client::client(settings.timeout, None)?;
            let queue = open_queue(&settings, directory.as_deref(), max_bytes);
            opened.push(Endpoint::new(settings, client, queue));
        }
        let references = if include_references { References::Included } else { References::LeftOut };
        let source = SourceRecord { addr: source, instance_id: Uuid::new_v4().to_string() };
        Ok(Self { endpoints: opened, references, source })
    }

    /// Queues an event for every endpoint that wants it. Returns at once for a pull; for a change it may wait
    /// up to [`WRITE_TIMEOUT`](super::write_buffer::WRITE_TIMEOUT).
    pub(super) fn emit(&self, event: &Event, sink: &RequestSink) {
        let record = Record::new(event, sink, &self.source, self.references);
        let wait = match event.what {
            EventKind::BlobPulled(_) | EventKind::ManifestPulled(_) => Wait::Not,
            EventKind::BlobDeleted(_)
            | EventKind::BlobMounted { .. }
            | EventKind::BlobPushed(_)
            | EventKind::ContentDamaged(_)
            | EventKind::ManifestDeleted(_)
            | EventKind::ManifestPushed(_)
            | EventKind::TagDeleted(_) => Wait::UntilWritten,
        };
        let mut line = None;
        for endpoint in &self.endpoints {
            if !endpoint.settings().ignored.covers(&record) {
                endpoint.queue.push(line.get_or_insert_with(|| record.to_line()), wait);
            }
        }
    }

    /// Delivers events to all endpoints while it is polled.
    pub async fn run(&self) {
        join_all(self.endpoints.iter().map(Endpoint::run)).await;
    }

    /// The counters of each endpoint, by name.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        let count = |endpoint: &Endpoint| (endpoint.settings().name.clone(), endpoint.queue.counts().clone());
        self.endpoints.iter().map(count).collect()
    }

    /// Whether all queues are empty.
    pub fn is_done(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.queue.counts().pending() == 0)
    }
}

fn open_queue(settings: &EndpointSettings, directory: Option<&Path>, max_bytes: u64) -> Queue {
    let name = &settings.name;
    if let Some(directory) = directory {
        let folder = directory.join(folder_name(name));
        let opened = Disk::open(&folder).and_then(|(disk, events, bytes)| {
            Ok((Queue::on_disk(name, max_bytes, disk, events, bytes)?, events))
        });
        match opened {
            Ok((queue, events)) => {
                if events > 0 {
                    tracing::info!(
                        endpoint = name,
                        events,
                        "{events} notifications for {name} are queued from the last run"
                    );
                }
                return queue;
            }
            Err(error) => tracing::error!(
                endpoint = name, %error,
                "the notification queue of {name} in {} is not usable, so they are queued in memory and lost when the \
                 registry stops; make sure that this process may write to notifications.queue.directory: {error}",
                folder.display()
            ),
        }
    }
    Queue::in_memory(name, max_bytes)
}

/// Names may contain characters that folder names may not, so a few digits of the hash keep folders distinct.
fn folder_name(name: &str) -> String {
    let plain: String = name
        .chars()
        .take(40)
        .map(|letter| if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '-' })
        .collect();
    let hash = Sha256::digest(name);
    format!("{plain}-{}", data_encoding::HEXLOWER.encode(&hash[..4]))
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            self.endpoints.iter().map(|endpoint| endpoint.settings().name.as_str()).collect();
        f.debug_struct("Notifier").field("endpoints", &names).finish_non_exhaustive()
    }
}
