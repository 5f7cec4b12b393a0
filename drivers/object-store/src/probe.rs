//! Probes a store at the start: whether it works as configured, and which conditional writes it honours.
//!
//! A mistake in the configuration fails the start, with the store's own words and the remedy, instead of the first push.

use std::time::{Duration, SystemTime};

use http::Method;
use object_store::path::Path;
use object_store::{Error as StoreError, PutMode, PutOptions, PutPayload, UpdateVersion};
use sampan_driver::{BuildError, DriverPath, ErrorKind, with_causes};
use tokio::time::{Instant, timeout_at};

use crate::bucket::{Bucket, Raw};
use crate::client::{Client, PageRequest};
use crate::conditional::{Conditional, UpdateMatch};
use crate::error::{Failure, is_precondition, kind_of};
use crate::remedy::{is_about_credentials, refused};
use crate::signed::SignedRequest;

/// Probes the store through `client`, which gives up soon. An error ends the start.
pub(crate) async fn probe(bucket: &Bucket, client: &Client) -> Result<(), BuildError> {
    let name = bucket.name;
    list_some(bucket, client).await?;
    match find(bucket, client, PROBING).await {
        Ok(found) => bucket.conditions.set(found),
        Err(ProbeError::Passing(problem)) => return Err(undecided(name, &problem)),
        Err(ProbeError::Lasting(error)) => match kind_of(&error) {
            ErrorKind::StorageFull => tracing::warn!(
                error = with_causes(&error),
                "storage.{name}: the store is full, so pushes will fail until there is room; pulls and deletions continue"
            ),
            ErrorKind::PermissionDenied if !is_about_credentials(&error) => tracing::warn!(
                error = with_causes(&error),
                "storage.{name}: these credentials may read but not write, so pushes and deletions will fail"
            ),
            _ => return Err(refused(name, &error)),
        },
    }
    if let Some(raw) = &bucket.raw {
        // Limits the wait for a warning.
        let _ = tokio::time::timeout(STEP_TIMEOUT, warn_of_lifecycle(bucket, raw)).await;
    }
    Ok(())
}

/// Probes the conditional writes of a store whose start did not show them; `None` if this does not show them either.
pub(crate) async fn prove(bucket: &Bucket, client: &Client) -> Option<Conditional> {
    match find(bucket, client, STEP_TIMEOUT).await {
        Ok(found) => {
            tracing::info!(
                ?found,
                "storage.{}: the store has shown which conditional writes it honours",
                bucket.name
            );
            bucket.conditions.set(found);
            Some(found)
        }
        Err(ProbeError::Lasting(error)) => {
            tracing::debug!(error = with_causes(&error), "the store refuses the probe of conditional writes");
            None
        }
        Err(ProbeError::Passing(problem)) => {
            tracing::debug!(problem, "the store does not show which conditional writes it honours");
            None
        }
    }
}

/// Finds out which conditions the store honours, and removes the objects of this and of earlier, interrupted probes.
async fn find(bucket: &Bucket, client: &Client, time_limit: Duration) -> Result<Conditional, ProbeError> {
    let mut tried = Vec::new();
    let found = conditional(bucket, client, time_limit, &mut tried).await;
    let clean = async {
        bucket.delete_objects(tried).await?;
        bucket.delete_objects(leftovers(bucket, client).await?).await
    };
    match tokio::time::timeout(STEP_TIMEOUT, clean).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::debug!(error = with_causes(&failure), "cannot remove the probe object"),
        Err(_) => tracing::debug!("cannot remove the probe object in time"),
    }
    found.inspect(|found| warn_of_replicas(bucket.name, *found))
}

/// The objects of probes that were interrupted or could not delete them. Younger ones may belong to running probes.
async fn leftovers(bucket: &Bucket, client: &Client) -> Result<Vec<Path>, Failure> {
    let prefix = bucket.keys.private(PROBE);
    let request =
        PageRequest { prefix: prefix.as_ref(), after: None, delimited: false, limit: 1000, token: None };
    let found = client.page(request).await?.objects;
    let age = |modified: SystemTime| modified.elapsed().unwrap_or_default();
    let old = found.into_iter().filter(|object| age(object.last_modified.into()) > ABANDONED_AFTER);
    Ok(old.map(|object| object.location).collect())
}

/// Lists a few keys: a mistake in the configuration shows here.
pub(crate) async fn list_some(bucket: &Bucket, client: &Client) -> Result<(), BuildError> {
    let name = bucket.name;
    let below = bucket.keys.below(&DriverPath::root());
    let request = PageRequest { prefix: &below, after: None, delimited: false, limit: 1, token: None };
    let end = Instant::now() + STEP_TIMEOUT;
    loop {
        match timeout_at(end, client.page(request)).await {
            Ok(Ok(_)) => return Ok(()),
            // A busy store exists and is of the right kind.
            Ok(Err(error)) if is_busy(&error) && Instant::now() + RETRY_DELAY < end => {
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Ok(Err(error)) => return Err(refused(name, &error)),
            Err(_) => return Err(no_answer(name)),
        }
    }
}

fn no_answer(name: &str) -> BuildError {
    BuildError::new(format!(
        "storage.{name}: no answer within {} seconds; check the endpoint, the network and the credentials",
        STEP_TIMEOUT.as_secs()
    ))
}

fn undecided(name: &str, problem: &str) -> BuildError {
    BuildError::new(format!(
        "storage.{name}: within {} seconds the store did not show whether it honours conditional writes, which registries \
         over one bucket depend on; start again when the store is well; the last problem: {problem}",
        PROBING.as_secs()
    ))
}

fn warn_of_replicas(name: &str, found: Conditional) {
    if !found.create || found.update == UpdateMatch::Unsupported {
        tracing::warn!(
            ?found,
            "storage.{name}: this store ignores conditional writes; where several registries are over it, send all requests \
             of one upload to one of them, and collect garbage with one of them alone"
        );
    }
}

/// The reason for a missing result.
enum ProbeError {
    /// An error that repeating does not change: credentials, a wrong bucket, a full store.
    Lasting(StoreError),
    /// The store is busy, or an answer is lost: proves nothing about conditional writes.
    Passing(String),
}

/// Finds out which conditions the store honours, and starts over while its answers prove nothing.
///
/// Each attempt has a key of its own, so that a late request of an earlier attempt disturbs nothing. The keys are added to
/// `tried`.
async fn conditional(
    bucket: &Bucket,
    client: &Client,
    time_limit: Duration,
    tried: &mut Vec<Path>,
) -> Result<Conditional, ProbeError> {
    let end = Instant::now() + time_limit;
    let mut problem = "the store did not answer".to_owned();
    loop {
        let key = bucket.keys.private(&format!("{PROBE}{:032x}", rand::random::<u128>()));
        tried.push(key.clone());
        match timeout_at(end, Attempt { client, key }.run()).await {
            Ok(Err(ProbeError::Passing(passing))) => problem = passing,
            Ok(answer) => return answer,
            Err(_) => return Err(ProbeError::Passing(problem)),
        }
        tracing::debug!(problem, "probing conditional writes again");
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// One run of the probe, with its own object.
struct Attempt<'a> {
    client: &'a Client,
    key: Path,
}

/// The meaning of an answer to a conditional write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ConditionResult {
    /// The store wrote the object.
    Wrote,
    /// The store refused, since the condition did not hold.
    Refused,
    /// The store reports that it does not support the condition.
    Unsupported,
}

impl Attempt<'_> {
    /// Tries conditions that hold and conditions that do not. A store that ignores them accepts all.
    async fn run(&self) -> Result<Conditional, ProbeError> {
        let version = self.write().await?;
        // The object exists by now, so both a write and a refusal are proof.
        let create = match self.put("create", PutMode::Create).await? {
            ConditionResult::Refused => true,
            ConditionResult::Wrote | ConditionResult::Unsupported => false,
        };
        let version = if create { version } else { self.write().await? };
        let update = self.update(&version).await?;
        Ok(Conditional { create, update })
    }

    async fn update(&self, version: &UpdateVersion) -> Result<UpdateMatch, ProbeError> {
        if version.e_tag.is_none() && version.version.is_none() {
            return Ok(UpdateMatch::Unsupported);
        }
        let stale = UpdateVersion {
            e_tag: Some(format!("\"{:032x}\"", 0)),
            version: version.version.as_ref().map(|_| "1".into()),
        };
        if self.put("stale", PutMode::Update(stale)).await? != ConditionResult::Refused {
            return Ok(UpdateMatch::Unsupported);
        }
        for (update, content) in [(UpdateMatch::Quoted, "quoted"), (UpdateMatch::Unquoted, "unquoted")] {
            let Some(mode) = update.mode(version) else { continue };
            match self.put(content, mode).await? {
                ConditionResult::Wrote => return Ok(update),
                ConditionResult::Unsupported => return Ok(UpdateMatch::Unsupported),
                ConditionResult::Refused => {}
            }
            // The client repeats a request after a lost answer, and the repetition fails because of the first one's success.
            let found = self.read().await?;
            if found == content {
                return Ok(update);
            }
            if found != FIRST {
                return Err(ProbeError::Passing(format!(
                    "the probe object is {found:?}, which is unexpected"
                )));
            }
        }
        Ok(UpdateMatch::Unsupported)
    }

    /// Writes the object, and replaces an existing one.
    async fn write(&self) -> Result<UpdateVersion, ProbeError> {
        let options = PutOptions { mode: PutMode::Overwrite, ..Default::default() };
        match self
            .client
            .objects()
            .put_opts(&self.key, PutPayload::from_static(FIRST.as_bytes()), options)
            .await
        {
            Ok(put) => Ok(UpdateVersion { e_tag: put.e_tag, version: put.version }),
            // An unknown answer to a plain write comes from a server that is no such store.
            Err(error) if kind_of(&error) == ErrorKind::Other => Err(ProbeError::Lasting(error)),
            Err(error) => Err(trouble(error)),
        }
    }

    async fn put(&self, content: &'static str, mode: PutMode) -> Result<ConditionResult, ProbeError> {
        let options = PutOptions { mode, ..Default::default() };
        let payload = PutPayload::from_static(content.as_bytes());
        match self.client.objects().put_opts(&self.key, payload, options).await {
            Ok(_) => Ok(ConditionResult::Wrote),
            Err(error) if is_precondition(&error) => Ok(ConditionResult::Refused),
            Err(error) if kind_of(&error) == ErrorKind::Unsupported => Ok(ConditionResult::Unsupported),
            Err(error) => Err(trouble(error)),
        }
    }

    async fn read(&self) -> Result<String, ProbeError> {
        let answer = self.client.objects().get_opts(&self.key, Default::default()).await.map_err(trouble)?;
        let content = answer.bytes().await.map_err(trouble)?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }
}

/// Whether an error may pass by itself; unknown errors may.
fn trouble(error: StoreError) -> ProbeError {
    match kind_of(&error) {
        ErrorKind::Unavailable | ErrorKind::Other => ProbeError::Passing(with_causes(&error)),
        _ => ProbeError::Lasting(error),
    }
}

/// Whether the store itself reports overload or trouble; a missing answer does not count.
fn is_busy(error: &StoreError) -> bool {
    let text = with_causes(error);
    ["code: 429", "code: 500", "code: 502", "code: 503", "code: 504"].iter().any(|code| text.contains(code))
}

/// Warns of a bucket without a lifecycle rule: unfinished uploads there cost storage for ever.
async fn warn_of_lifecycle(bucket: &Bucket, raw: &Raw) {
    let request = SignedRequest {
        what: "look at the lifecycle rules",
        method: Method::GET,
        key: &Path::default(),
        query: vec![("lifecycle", String::new())],
        headers: Vec::new(),
    };
    let rules = match bucket.send_signed(raw, request).await {
        Ok(rules) => String::from_utf8_lossy(&rules).into_owned(),
        Err(failure) if failure.is_not_found() => String::new(),
        // The request is forbidden, or the store has no lifecycle rules: no warning.
        Err(_) => return,
    };
    if !rules.contains("AbortIncompleteMultipartUpload") {
        tracing::warn!(
            "storage.{}: the bucket has no lifecycle rule AbortIncompleteMultipartUpload; the parts of \
             abandoned uploads are removed only while a registry runs (docs/object-stores.md)",
            bucket.name
        );
    }
}

/// The time limit of each other step; a mistake in the configuration shows in the first.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for probing conditional writes at the start. A store is busiest when all registries over it start.
const PROBING: Duration = Duration::from_secs(15);

const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The name of each probe object begins so.
const PROBE: &str = "probe-";

/// No probe runs for so long, even if clocks differ.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// The first content of the probe object.
const FIRST: &str = "first";
