//! Deletes objects: many per request, and with them the uploads staged among them.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::Error as StoreError;
use object_store::path::Path;
use sampan_driver::{Deadline, DriverPath, Operation, Result, with_causes};
use tokio::time::timeout;

use crate::bucket::Bucket;
use crate::client::{Client, PageRequest};
use crate::error::{Failure, says};
use crate::keys::{Keys, object};
use crate::options::DeletionOptions;

impl Bucket {
    /// Deletes `keys`; missing ones are no failure.
    pub(crate) async fn delete_objects(&self, keys: Vec<Path>) -> Result<(), Failure> {
        let once = |keys| self.delete_once(&self.control, keys);
        for result in in_rounds(keys, once, concerns_one_key).await {
            result?;
        }
        Ok(())
    }

    /// Deletes `keys`, and returns a result for each; begins no request after `until`.
    ///
    /// A request without a timely answer is not repeated: the store may still carry it out, and a caller that gets `Ok`
    /// relies on the absence of such requests.
    async fn delete_until(&self, keys: Vec<Path>, until: &Deadline) -> Vec<Result<(), Failure>> {
        let once = |keys: Vec<Path>| async move {
            let count = keys.len();
            let limit = until.left().map_or(DELETION_LIMIT, |left| left.min(DELETION_LIMIT));
            if limit.is_zero() {
                return (0..count).map(|_| Err(Failure::TooLate)).collect();
            }
            match timeout(limit, self.delete_once(&self.deletion, keys)).await {
                Ok(results) => results,
                Err(_) => (0..count).map(|_| Err(Failure::NoAnswer(limit))).collect(),
            }
        };
        in_rounds(keys, once, |failure| concerns_one_key(failure) || was_refused(failure)).await
    }

    async fn delete_once(&self, client: &Client, keys: Vec<Path>) -> Vec<Result<(), Failure>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let count = keys.len();
        let answers = client.objects().delete_stream(stream::iter(keys.into_iter().map(Ok)).boxed());
        let results: Vec<_> = answers
            .map(|answer| match answer {
                Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(Failure::from(error)),
            })
            .collect()
            .await;
        if results.len() == count {
            return results;
        }
        // The request failed as a whole, so all keys get its error.
        let shared = results.into_iter().find_map(Result::err);
        (0..count)
            .map(|_| shared.as_ref().map_or(Err(Failure::Ended), |failure| Err(failure.share())))
            .collect()
    }

    /// Deletes everything at and below `path`.
    pub(crate) async fn delete_tree(&self, path: &DriverPath) -> Result<(), Failure> {
        let (key, below) = (self.keys.key(path), self.keys.below(path));
        if path.is_root() {
            return self.delete_below(&below).await;
        }
        // One listing without the slash finds the file, its upload and everything below, unless siblings fill the page.
        let request = PageRequest {
            prefix: &key,
            after: None,
            delimited: false,
            limit: self.options.page,
            token: None,
        };
        let page = self.page(request).await?;
        if page.next.is_none() {
            let state = self.keys.state(path);
            let keys = page.objects.into_iter().map(|found| found.location);
            let ours =
                |found: &Path| found.as_ref() == key || *found == state || found.as_ref().starts_with(&below);
            let mut keys: Vec<Path> = keys.filter(ours).collect();
            // For Azure, the crate takes an exact match for a directory and omits it.
            if matches!(self.control, Client::Azure(_)) {
                keys.push(object(&key));
            }
            return self.delete_with_uploads(keys).await;
        }
        self.delete_with_uploads(vec![object(&key), self.keys.state(path)]).await?;
        self.delete_below(&below).await
    }

    async fn delete_below(&self, below: &str) -> Result<(), Failure> {
        let (mut after, mut token): (Option<String>, Option<String>) = (None, None);
        loop {
            // By key and not by token: the deletion removes the objects that the token points into.
            let request = PageRequest {
                prefix: below,
                after: after.as_deref(),
                delimited: false,
                limit: self.options.page,
                token: token.as_deref(),
            };
            let page = self.page(request).await?;
            let last = page.objects.last().map(|found| found.location.to_string());
            self.delete_with_uploads(page.objects.into_iter().map(|found| found.location).collect()).await?;
            match (last, page.next) {
                (_, None) => return Ok(()),
                (Some(last), Some(_)) => (after, token) = (Some(last), None),
                // Nothing was deleted: all keys of the page are foreign.
                (None, next) => token = next,
            }
        }
    }

    /// Deletes `keys`, after ending the multipart uploads of the state objects among them.
    async fn delete_with_uploads(&self, keys: Vec<Path>) -> Result<(), Failure> {
        let states = keys.iter().filter(|key| Keys::is_state(key.as_ref()));
        let aborts = states.map(|key| async move {
            match self.load_header(key).await {
                Ok(Some(header)) => self.abort(&header).await,
                Ok(None) => Ok(()),
                // An unreadable state names no upload; the sweep of stale uploads finds it.
                Err(Failure::State(problem)) => {
                    tracing::warn!(%key, problem, "deleting the state of an upload, which cannot be read");
                    Ok(())
                }
                Err(failure) => Err(failure),
            }
        });
        stream::iter(aborts.collect::<Vec<_>>()).buffer_unordered(8).try_collect::<()>().await?;
        self.delete_objects(keys).await
    }
}

/// Deletes `keys` by `once`, and retries failures for which `is_passing` holds.
///
/// Some stores fail for one key among many, as Ceph does while a key is being written. Such a failure is not a failed
/// request, so the layers below do not retry it.
async fn in_rounds<F>(
    keys: Vec<Path>,
    once: impl Fn(Vec<Path>) -> F,
    is_passing: impl Fn(&Failure) -> bool,
) -> Vec<Result<(), Failure>>
where
    F: Future<Output = Vec<Result<(), Failure>>>,
{
    let mut results = once(keys.clone()).await;
    for round in 1..=ROUNDS {
        let failed = |result: &Result<(), Failure>| result.as_ref().is_err_and(&is_passing);
        let again: Vec<usize> = (0..results.len()).filter(|index| failed(&results[*index])).collect();
        if again.is_empty() {
            break;
        }
        tracing::debug!(count = again.len(), "retrying keys that the store failed to delete");
        tokio::time::sleep(RETRY_DELAY * round).await;
        let keys = again.iter().map(|index| keys[*index].clone()).collect();
        for (index, result) in again.into_iter().zip(once(keys).await) {
            // A key that is too late keeps its earlier failure.
            if !matches!(result, Err(Failure::TooLate)) {
                results[index] = result;
            }
        }
    }
    results
}

/// Whether an overloaded store refused the request without carrying it out.
fn was_refused(failure: &Failure) -> bool {
    let text = with_causes(failure);
    ["status code: 429", "status code: 503", "SlowDown"].iter().any(|sign| says(&text, sign))
}

/// Whether a store carried out the request, but failed for this key for another reason than permissions.
fn concerns_one_key(failure: &Failure) -> bool {
    let text = with_causes(failure);
    let says = |signs: [&str; 2]| signs.iter().any(|sign| text.contains(sign));
    // Of S3, and of Azure.
    says(["DeleteObjects request failed for key", "Bulk delete request failed for key"])
        && !says(["(code: AccessDenied)", "(code: 403)"])
}

/// Deletes `paths` in requests of the maximum size; each request has a time limit of its own.
pub(crate) fn delete_all(
    bucket: Arc<Bucket>,
    paths: BoxStream<'static, DriverPath>,
    until: Deadline,
) -> BoxStream<'static, (DriverPath, Result<()>)> {
    let DeletionOptions { keys, requests } = bucket.options.deletions;
    let batch = move |paths: Vec<DriverPath>| {
        let (bucket, until) = (bucket.clone(), until.clone());
        async move {
            // `/` is no file, so deleting it does nothing.
            let (files, root): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| !path.is_root());
            let keys = files.iter().filter_map(|path| bucket.keys.object(path)).collect();
            let results = bucket.delete_until(keys, &until).await;
            let answer = |(path, result): (DriverPath, Result<(), Failure>)| {
                let result = result.map_err(|failure| failure.at(bucket.name, Operation::DeleteAll, &path));
                (path, result)
            };
            let mut answers: Vec<_> = files.into_iter().zip(results).map(answer).collect();
            answers.extend(root.into_iter().map(|path| (path, Ok(()))));
            stream::iter(answers)
        }
    };
    paths.chunks(keys).map(batch).buffered(requests).flatten().boxed()
}

/// The time limit of a collector's request.
pub(crate) const DELETION_LIMIT: Duration = Duration::from_secs(20);

/// How often to retry keys that the store failed to delete among others.
const ROUNDS: u32 = 4;

const RETRY_DELAY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};
    use sampan_driver::{ErrorKind, StorageDriver};
    use tokio::time::Instant;

    use super::*;
    use crate::ObjectStoreDriver;

    /// A store that takes one key per request, and one second for each.
    fn slow() -> ObjectStoreDriver {
        let config = ThrottleConfig { wait_delete_per_call: Duration::from_secs(1), ..Default::default() };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), config));
        let mut driver = ObjectStoreDriver::over(store, "root", 1000).unwrap();
        let bucket = Arc::get_mut(&mut driver.bucket).unwrap();
        bucket.options.deletions = DeletionOptions { keys: 1, requests: 10 };
        driver
    }

    async fn delete(driver: &ObjectStoreDriver, until: Deadline) -> Vec<Result<()>> {
        let paths: Vec<DriverPath> = (0..300).map(|number| format!("/d/{number}").parse().unwrap()).collect();
        let answers: Vec<_> = driver.delete_all(stream::iter(paths.clone()).boxed(), until).collect().await;
        let (answered, results): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        assert_eq!(answered, paths);
        results
    }

    #[test]
    fn a_key_that_failed_among_others_is_told_from_a_request_that_failed() {
        for (text, is_of_one) in [
            (
                "DeleteObjects request failed for key a: We encountered an internal error (code: InternalError)",
                true,
            ),
            ("DeleteObjects request failed for key a: Access Denied (code: AccessDenied)", false),
            ("Bulk delete request failed for key a: Server Busy (code: 503)", true),
            ("Bulk delete request failed for key a: Forbidden (code: 403)", false),
            ("Error performing bulk delete request: Server returned non-2xx status code: 503", false),
        ] {
            let error = StoreError::Generic { store: "any", source: text.into() };
            assert_eq!(concerns_one_key(&Failure::from(error)), is_of_one, "{text}");
        }
    }

    /// Thirty seconds of work in steps of one second each.
    #[tokio::test(start_paused = true)]
    async fn the_time_limit_is_that_of_a_request_and_not_of_many() {
        let failed: Vec<_> =
            delete(&slow(), Deadline::NONE).await.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{} of 300 failed, the first: {:?}", failed.len(), failed[0]);
    }

    /// Requests that begin in time get an answer; the rest does not begin.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_what_has_not_begun() {
        let end = Instant::now() + Duration::from_millis(10_500);
        let until = Deadline::new(move || end.saturating_duration_since(Instant::now()));
        let results = delete(&slow(), until).await;
        assert!(results[..100].iter().all(Result::is_ok));
        let late = |result: &Result<()>| matches!(result, Err(error) if error.kind() == ErrorKind::TooLate);
        assert!(results[110..].iter().all(late));
    }
}
