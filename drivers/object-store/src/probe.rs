//! What is looked at when a store is opened: whether it can be used as configured, and what it makes of conditional writes.
//!
//! A mistake in the configuration is told at the start, with the store's own words and what to change, and not by the first
//! push that fails.

use std::time::Duration;

use http::Method;
use object_store::path::Path;
use object_store::{Error as StoreError, PutMode, PutOptions, PutPayload, UpdateVersion};
use sampan_driver::{BuildError, DriverPath, ErrorKind};

use crate::bucket::{Bucket, Raw};
use crate::client::{Client, PageRequest};
use crate::conditional::{Conditional, UpdateMatch};
use crate::error::{chain, is_precondition, kind_of};
use crate::signed::SignedRequest;

/// Tries the store through `client`, which gives up soon, and fills in what was found out.
pub(crate) async fn probe(bucket: &mut Bucket, client: &Client) -> Result<(), BuildError> {
    let name = bucket.name;
    let below = bucket.keys.below(&DriverPath::root());
    let request = PageRequest { prefix: &below, after: None, delimited: false, limit: 1, token: None };
    match tokio::time::timeout(PATIENCE, client.page(request)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(refused(name, &error)),
        Err(_) => return Err(no_answer(name)),
    }
    let key = bucket.keys.private(&format!("probe-{:032x}", rand::random::<u128>()));
    let found = match tokio::time::timeout(PATIENCE, conditional(client, &key)).await {
        Ok(found) => found,
        Err(_) => return Err(no_answer(name)),
    };
    match tokio::time::timeout(PATIENCE, bucket.delete_objects(vec![key])).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::debug!(error = chain(&failure), "the probe object was not removed"),
        Err(_) => tracing::debug!("the probe object was not removed in time"),
    }
    bucket.conditional = match found {
        Ok(found) => found,
        Err(error) if kind_of(&error) == ErrorKind::PermissionDenied => {
            tracing::warn!(
                error = chain(&error),
                "storage.{name}: these credentials may read but not write, so pushes and deletions will fail"
            );
            Conditional::NONE
        }
        Err(error) => return Err(refused(name, &error)),
    };
    warn_of_replicas(name, bucket.conditional);
    if let Some(raw) = &bucket.raw {
        // A warning is not worth a long wait.
        let _ = tokio::time::timeout(PATIENCE, warn_of_lifecycle(bucket, raw)).await;
    }
    Ok(())
}

fn no_answer(name: &str) -> BuildError {
    BuildError::new(format!(
        "storage.{name}: no answer within {} seconds; check the endpoint, the network, and that there are credentials",
        PATIENCE.as_secs()
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

/// Tries conditions that hold and conditions that do not: a store that knows nothing of them says yes to all.
async fn conditional(client: &Client, key: &Path) -> Result<Conditional, StoreError> {
    let put = async |content: &'static str, mode: PutMode| {
        let options = PutOptions { mode, ..Default::default() };
        client.objects().put_opts(key, PutPayload::from_static(content.as_bytes()), options).await
    };
    let first = put("1", PutMode::Overwrite).await?;
    let version = UpdateVersion { e_tag: first.e_tag, version: first.version };
    let create = refuses(put("2", PutMode::Create).await)?;
    let version = match create {
        true => version,
        false => {
            let again = put("1", PutMode::Overwrite).await?;
            UpdateVersion { e_tag: again.e_tag, version: again.version }
        }
    };
    if version.e_tag.is_none() && version.version.is_none() {
        return Ok(Conditional { create, update: UpdateMatch::Unsupported });
    }
    let stale = UpdateVersion {
        e_tag: Some(format!("\"{:032x}\"", 0)),
        version: version.version.as_ref().map(|_| "1".into()),
    };
    if !refuses(put("3", PutMode::Update(stale)).await)? {
        return Ok(Conditional { create, update: UpdateMatch::Unsupported });
    }
    for update in [UpdateMatch::Quoted, UpdateMatch::Unquoted] {
        let Some(mode) = update.mode(&version) else { continue };
        if put("4", mode).await.is_ok() {
            return Ok(Conditional { create, update });
        }
    }
    Ok(Conditional { create, update: UpdateMatch::Unsupported })
}

/// Whether the store saw that a condition did not hold. That it cannot look is an answer too, and no error.
fn refuses<T>(answer: Result<T, StoreError>) -> Result<bool, StoreError> {
    match answer {
        Ok(_) => Ok(false),
        Err(error) if is_precondition(&error) => Ok(true),
        Err(error) => match kind_of(&error) {
            ErrorKind::Unsupported | ErrorKind::Unavailable | ErrorKind::Other => Ok(false),
            _ => Err(error),
        },
    }
}

/// Uploads that are never finished cost storage for ever unless the bucket has a rule against them.
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
        // Not allowed to look, or no such thing in this store: nothing to warn of.
        Err(_) => return,
    };
    if !rules.contains("AbortIncompleteMultipartUpload") {
        tracing::warn!(
            "storage.{}: the bucket has no lifecycle rule AbortIncompleteMultipartUpload; what is left of uploads that \
             break off is removed only while a registry runs (docs/object-stores.md)",
            bucket.name
        );
    }
}

/// The store's own words, and what to change.
fn refused(name: &str, error: &StoreError) -> BuildError {
    let text = chain(error);
    let says = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    let remedy = if says(&["NoSuchBucket", "ContainerNotFound", "bucket does not exist"]) {
        "there is no such bucket (container): create it, or correct its name"
    } else if says(&["RequestTimeTooSkewed", "skew"]) {
        "the clock of this machine and that of the store are too far apart: set the clock"
    } else if says(&[
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "incorrectly configured region",
        "IllegalLocation",
    ]) {
        "the bucket is in another region: correct `region` (or `regionendpoint`)"
    } else if says(&["SignatureDoesNotMatch"]) {
        "the secret does not belong to the access key (or `region` is wrong)"
    } else if says(&["InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "AuthenticationFailed"]) {
        "the store does not know these credentials, or they have expired"
    } else if says(&["169.254.169.254", "169.254.170.2", "metadata.google.internal"]) {
        "there are no credentials: configure them, set the environment, or run where the cloud provides them"
    } else if says(&["InvalidContentType", "corrupt message", "WRONG_VERSION_NUMBER"]) {
        "the endpoint does not speak TLS: write http:// in front of it, or set `secure: false`"
    } else if says(&[
        "HTTP request to an HTTPS",
        "HTTP request was sent to HTTPS",
        "invalid HTTP version",
        "IncompleteMessage",
        "connection closed before message completed",
    ]) {
        "the endpoint does not speak plain HTTP: write https:// in front of it, or correct its port"
    } else if says(&["invalid list response", "Unable to extract metadata from headers"]) {
        "what answers there is no S3: check the endpoint and its port"
    } else if says(&["certificate", "UnknownIssuer", "CaUsedAsEndEntity", "NotValidForName"]) {
        "the store's certificate is not trusted: set `cafile` to the authority's, or correct the host name"
    } else if says(&[
        "dns error",
        "failed to lookup",
        "Connection refused",
        "error trying to connect",
        "tcp connect",
    ]) {
        "the store cannot be reached: check the endpoint and the network"
    } else if says(&["timed out"]) {
        "the store does not answer: check the endpoint and the network"
    } else if kind_of(error) == ErrorKind::PermissionDenied {
        "the store refuses these credentials: they need to list, read, write and delete in this bucket"
    } else if says(&["StatusCode(301)", "301", "307"]) {
        "the store sends us elsewhere: correct `region` or the endpoint"
    } else {
        "check the bucket, the endpoint, the region and the credentials"
    };
    BuildError::new(format!("storage.{name}: {remedy}; the store says: {text}"))
}

/// For each of the steps; a mistake in the configuration shows in the first.
const PATIENCE: Duration = Duration::from_secs(5);
