//! `Parts`: the parts of one multipart upload, some of them in flight.

use std::sync::Arc;

use object_store::PutPayload;
use object_store::path::Path;
use tokio::task::JoinSet;

use crate::bucket::{Bucket, with_limit};
use crate::error::Failure;
use crate::in_flight::PartsLock;
use crate::state::is_unknown_upload;

/// Parts in order. Dropping them cancels those in flight: a dropped writer leaves the saved state.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The store's name of each part; `None` while it is in flight, or if it is lost.
    ids: Vec<Option<String>>,
    /// Tasks, so that parts progress while the writer waits for the client's next bytes. Dropping the set cancels them.
    in_flight: JoinSet<(usize, Result<String, Failure>)>,
    failure: Option<Failure>,
    /// Shared by the parts in flight, so that another writer can wait for their end.
    lock: PartsLock,
}

impl Parts {
    /// The parts that `ids` name.
    pub(crate) fn new(ids: Vec<String>, lock: PartsLock) -> Self {
        Self { ids: ids.into_iter().map(Some).collect(), in_flight: JoinSet::new(), failure: None, lock }
    }

    /// The number of parts, sent or in flight.
    pub(crate) fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Sends the next part. First waits for a free place among this upload's parts and for room in the common budget.
    pub(crate) async fn send(
        &mut self,
        bucket: &Arc<Bucket>,
        key: &Path,
        upload: &str,
        payload: PutPayload,
    ) -> Result<(), Failure> {
        while self.in_flight.len() >= bucket.options.parts.in_flight {
            self.land().await;
        }
        self.check()?;
        let size = payload.content_length() as u64;
        let share = bucket.share_of_budget(size);
        let permit = bucket.budget.clone().acquire_many_owned(share).await.map_err(|_| Failure::Ended)?;
        let index = self.ids.len();
        self.ids.push(None);
        let (bucket, key, upload) = (bucket.clone(), key.clone(), upload.to_owned());
        let place = self.lock.clone().read_owned().await;
        self.in_flight.spawn(async move {
            let _held = (permit, place);
            (index, put_part(&bucket, &key, &upload, index, payload).await)
        });
        Ok(())
    }

    /// Waits for all parts; fails with the first failure of any.
    pub(crate) async fn finish_in_flight(&mut self) -> Result<(), Failure> {
        while !self.in_flight.is_empty() {
            self.land().await;
        }
        self.check()
    }

    /// The parts before the first lost one. Call it after [`settle`](Self::finish_in_flight).
    pub(crate) fn kept(&self) -> Vec<String> {
        self.ids.iter().map_while(Clone::clone).collect()
    }

    /// Forgets the first lost part, all later parts, and the failure.
    pub(crate) fn truncate(&mut self) {
        let kept = self.ids.iter().take_while(|id| id.is_some()).count();
        self.ids.truncate(kept);
        self.failure = None;
    }

    /// Cancels the parts in flight and forgets all parts.
    pub(crate) async fn clear(&mut self) {
        self.in_flight.shutdown().await;
        self.ids.clear();
        self.failure = None;
    }

    /// Returns the failure of a part once; later calls return a copy of it.
    fn check(&mut self) -> Result<(), Failure> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => {
                let again = failure.share();
                Err(self.failure.replace(again).unwrap_or(Failure::Ended))
            }
        }
    }

    async fn land(&mut self) {
        let failure = match self.in_flight.join_next().await {
            None => return,
            Some(Ok((index, Ok(id)))) => {
                self.ids[index] = Some(id);
                return;
            }
            Some(Ok((_, Err(failure)))) => failure,
            // The client panicked; the part has no name, so it does not count.
            Some(Err(_)) => Failure::Ended,
        };
        self.failure.get_or_insert(failure);
    }
}

/// Sends one part, with index from 0.
pub(crate) async fn put_part(
    bucket: &Bucket,
    key: &Path,
    upload: &str,
    index: usize,
    payload: PutPayload,
) -> Result<String, Failure> {
    let upload = upload.to_owned();
    let size = payload.content_length() as u64;
    let put = bucket.data.multipart().put_part(key, &upload, index, payload);
    match with_limit(size, put).await {
        Ok(part) => Ok(part.content_id),
        Err(failure) if failure.is_not_found() || is_unknown_upload(&failure) => Err(Failure::UploadLost),
        Err(failure) => Err(failure),
    }
}
