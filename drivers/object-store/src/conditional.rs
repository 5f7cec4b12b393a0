//! Conditional writes: which ones a store honours, and how to send them.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, PutResult, UpdateVersion,
};
use sampan_driver::with_causes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bucket::{Bucket, with_limit};
use crate::client::Client;
use crate::error::{Failure, is_precondition, was_cut};
use crate::probe::prove;

/// The conditions that a store honours. Some stores answer 200 and ignore them, so the driver probes the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Conditional {
    /// "Only if the object does not exist."
    pub(crate) create: bool,
    /// "Only if the object is still this version."
    pub(crate) update: UpdateMatch,
}

/// The form of the version in "only if the object is still this version".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UpdateMatch {
    /// Quoted, as in the standard.
    Quoted,
    /// Ceph before 18: without the quotes that it sent itself.
    Unquoted,
    /// The store does not compare versions.
    Unsupported,
}

impl Conditional {
    pub(crate) const ALL: Self = Self { create: true, update: UpdateMatch::Quoted };
}

/// The conditions that the store honours, once an answer has proved them.
#[derive(Debug)]
pub(crate) struct Conditions {
    found: OnceLock<Conditional>,
    /// For probing again: a refusal at the start, such as that of a full store, proves nothing.
    client: Client,
    /// The earliest time of the next probe. Held while one runs.
    next: Mutex<Instant>,
}

impl Conditions {
    /// Not yet proved; `client` gives up soon.
    pub(crate) fn unknown(client: Client) -> Self {
        Self { found: OnceLock::new(), client, next: Mutex::new(Instant::now()) }
    }

    pub(crate) fn proved(found: Conditional, client: Client) -> Self {
        Self { found: found.into(), ..Self::unknown(client) }
    }

    pub(crate) fn set(&self, found: Conditional) {
        // Two probes find the same.
        let _ = self.found.set(found);
    }
}

impl UpdateMatch {
    /// The condition that an object is still `version`; `None` if the store does not compare.
    pub(crate) fn mode(self, version: &UpdateVersion) -> Option<PutMode> {
        let mut version = version.clone();
        match self {
            Self::Quoted => {}
            Self::Unquoted => version.e_tag = version.e_tag.map(|tag| tag.trim_matches('"').to_owned()),
            Self::Unsupported => return None,
        }
        Some(PutMode::Update(version))
    }
}

impl Bucket {
    /// The conditions that the store honours. If the start has not shown that, this probes again, and until then assumes all
    /// of them: a store that lacks them answers so, and one that ignores them is no worse off.
    pub(crate) async fn conditional(&self) -> Conditional {
        let conditions = &self.conditions;
        if let Some(found) = conditions.found.get() {
            return *found;
        }
        let mut next = conditions.next.lock().await;
        match conditions.found.get() {
            Some(found) => *found,
            None if Instant::now() < *next => Conditional::ALL,
            None => {
                // Also if the request is given up meanwhile.
                *next = Instant::now() + BETWEEN_PROBES;
                prove(self, &conditions.client).await.unwrap_or(Conditional::ALL)
            }
        }
    }

    /// Creates an object that must not exist yet.
    ///
    /// After a lost answer the crate repeats the request, which then fails because of its own success. So every such object
    /// bears a mark that identifies its writer.
    pub(crate) async fn create(&self, key: &Path, content: Bytes) -> Result<(), Failure> {
        if !self.conditional().await.create {
            return self.create_alone(key, content).await;
        }
        let mark = format!("{:032x}", rand::random::<u128>());
        let mut options =
            PutOptions { mode: PutMode::Create, attributes: self.attributes(), ..Default::default() };
        options.attributes.insert(Attribute::Metadata(MARK.into()), mark.clone().into());
        let payload = PutPayload::from(content);
        for _ in 0..MAX_ATTEMPTS {
            match put_if(self.control.objects(), key, payload.clone(), options.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if is_precondition(&error) => {}
                Err(error) => return Err(error.into()),
            }
            let head = GetOptions { head: true, ..Default::default() };
            match self.control.objects().get_opts(key, head).await {
                Ok(found) if self.has_mark(&found, &mark) => return Ok(()),
                Ok(_) => break,
                // It was deleted between the two requests, or while the first one was carried out.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::AlreadyExists)
    }

    /// The same for a store that ignores conditions: one writer per process wins. More is impossible, and a warning at the
    /// start says so.
    async fn create_alone(&self, key: &Path, content: Bytes) -> Result<(), Failure> {
        // Held across requests on purpose: these files are few, and the check and the write must be one step.
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        match self.control.objects().head(key).await {
            Ok(_) => Err(Failure::AlreadyExists),
            Err(object_store::Error::NotFound { .. }) => {
                self.put(key, content.into()).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object, and replaces an existing one.
    pub(crate) async fn put(&self, key: &Path, content: PutPayload) -> Result<PutResult, Failure> {
        let options = PutOptions { attributes: self.attributes(), ..Default::default() };
        // The data client: a large tail may exceed the time limit of small requests.
        let size = content.content_length() as u64;
        with_limit(size, self.data.objects().put_opts(key, content, options)).await
    }

    /// The attributes of a multipart upload and of its object; includes `mark` where the store keeps metadata for parts.
    pub(crate) fn attributes_marked(&self, mark: &str) -> Attributes {
        let mut attributes = self.attributes();
        if self.marks_parts() {
            attributes.insert(Attribute::Metadata(MARK.into()), mark.to_owned().into());
        }
        attributes
    }

    /// Whether the object `found` bears `mark`.
    pub(crate) fn has_mark(&self, found: &GetResult, mark: &str) -> bool {
        let there = found.attributes.get(&Attribute::Metadata(MARK.into()));
        !mark.is_empty() && there.is_some_and(|there| **there == *mark)
    }

    /// The attributes of every new object.
    pub(crate) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(class) = &self.options.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }
}

/// A conditional write. After a cut connection the crate does not repeat it, since the store may have carried it out. A
/// caller whose object bears a mark can identify an existing object, so the write may be repeated.
pub(crate) async fn put_if(
    store: &dyn ObjectStore,
    key: &Path,
    content: PutPayload,
    options: PutOptions,
) -> object_store::Result<PutResult> {
    let mut tries = 1;
    loop {
        match store.put_opts(key, content.clone(), options.clone()).await {
            Err(error) if tries < MAX_ATTEMPTS && was_cut(&error) => {
                tracing::debug!(%key, error = with_causes(&error), "repeating a conditional write");
                tokio::time::sleep(RETRY_DELAY * tries).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}

/// The pause between probes during operation.
const BETWEEN_PROBES: Duration = Duration::from_secs(10);

const MAX_ATTEMPTS: u32 = 4;

const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The name of the mark in the metadata of the object.
const MARK: &str = "sampannonce";
