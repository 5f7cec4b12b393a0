//! `DocumentBudget`: limits the bytes of manifests and lists that responses of all connections hold in memory.
//!
//! A response holds its document until the client has taken the last byte, and a client may open many connections and read
//! none of them. So large documents count: the permit goes with their bytes, wherever these are buffered. A client may hold
//! a quarter of what is free, so the share of each shrinks when many hold much, and a client without a document gets its first as
//! long as there is room for it at all.
//!
//! Responses with the same bytes in memory, such as those of a cached manifest, count once: many machines of a network may
//! pull one image at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::error::{ApiError, ErrorCode};

/// A document up to this size does not count: a connection takes more.
const SMALL_BYTES: usize = 64 * 1024;

/// The most bytes of documents that are being sent.
const MAX_SENT_BYTES: usize = 192 << 20;

/// The most bytes of documents that wait to be sent.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// How long a document waits.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The bytes of large documents in memory, by the address of their client, or by its network for IPv6.
#[derive(Debug)]
pub(super) struct DocumentBudget {
    sent: Arc<Budget>,
    waiting: Arc<Budget>,
}

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    /// A plain mutex: held to change a count, never across an await.
    taken: Mutex<BudgetUse>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct BudgetUse {
    bytes: usize,
    by_client: HashMap<IpAddr, usize>,
    documents: HashMap<DocumentPlace, Holders>,
}

/// Where the bytes of a document are in memory: their address and number.
type DocumentPlace = (usize, usize);

/// How many responses hold a document.
#[derive(Debug, Default)]
struct Holders {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The part of one response in the budget; dropping this frees it.
#[derive(Debug)]
struct BudgetShare {
    budget: Arc<Budget>,
    client: Option<IpAddr>,
    place: DocumentPlace,
    bytes: usize,
}

/// A document that takes its share until the last slice of it is dropped.
struct BudgetedDocument {
    document: Bytes,
    _share: BudgetShare,
}

impl Default for DocumentBudget {
    fn default() -> Self {
        Self { sent: Budget::new(MAX_SENT_BYTES), waiting: Budget::new(MAX_WAITING_BYTES) }
    }
}

impl DocumentBudget {
    /// Counts a document that `client` asked for; waits for a while if there is no room for it.
    ///
    /// # Errors
    ///
    /// The client, or all clients together, have not taken what they asked for before.
    pub(super) async fn count(&self, client: Option<IpAddr>, document: Bytes) -> Result<Bytes, ApiError> {
        if document.len() <= SMALL_BYTES {
            return Ok(document);
        }
        let share = match self.sent.try_take(client, &document) {
            Some(share) => share,
            None => {
                let _waiting = self.waiting.try_take(client, &document).ok_or_else(refusal)?;
                timeout(MAX_WAIT, self.sent.take(client, &document)).await.map_err(|_| refusal())?
            }
        };
        Ok(Bytes::from_owner(BudgetedDocument { document, _share: share }))
    }
}

impl Budget {
    fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes, taken: Mutex::default(), freed: Notify::new() })
    }

    fn try_take(self: &Arc<Self>, client: Option<IpAddr>, document: &Bytes) -> Option<BudgetShare> {
        // Other registries may have stored a document of any size.
        let bytes = document.len().min(self.max_bytes / 4);
        let place = (document.as_ptr().addr(), document.len());
        let mut taken = self.taken.lock();
        if !taken.documents.contains_key(&place) {
            let free = self.max_bytes - taken.bytes;
            let held = client.and_then(|client| taken.by_client.get(&client).copied()).unwrap_or(0);
            if bytes > free || (held > 0 && held + bytes > free / 4) {
                return None;
            }
        }
        taken.add(client, place, bytes);
        Some(BudgetShare { budget: self.clone(), client, place, bytes })
    }

    async fn take(self: &Arc<Self>, client: Option<IpAddr>, document: &Bytes) -> BudgetShare {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(share) = self.try_take(client, document) {
                return share;
            }
            freed.await;
        }
    }
}

impl BudgetUse {
    fn add(&mut self, client: Option<IpAddr>, place: DocumentPlace, bytes: usize) {
        let holders = self.documents.entry(place).or_default();
        holders.all += 1;
        if holders.all == 1 {
            self.bytes += bytes;
        }
        let Some(client) = client else { return };
        let of_client = holders.by_client.entry(client).or_default();
        *of_client += 1;
        if *of_client == 1 {
            *self.by_client.entry(client).or_default() += bytes;
        }
    }

    fn remove(&mut self, client: Option<IpAddr>, place: DocumentPlace, bytes: usize) {
        let Some(holders) = self.documents.get_mut(&place) else { return };
        if let Some(client) = client
            && less(&mut holders.by_client, client, 1)
        {
            less(&mut self.by_client, client, bytes);
        }
        holders.all -= 1;
        if holders.all == 0 {
            self.documents.remove(&place);
            self.bytes -= bytes;
        }
    }
}

/// Takes `amount` from what a client has. Returns whether that was all of it.
fn less(amounts: &mut HashMap<IpAddr, usize>, client: IpAddr, amount: usize) -> bool {
    let Some(left) = amounts.get_mut(&client) else { return false };
    *left -= amount;
    let is_over = *left == 0;
    if is_over {
        amounts.remove(&client);
    }
    is_over
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.budget.taken.lock().remove(self.client, self.place, self.bytes);
        self.budget.freed.notify_waiters();
    }
}

impl AsRef<[u8]> for BudgetedDocument {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}

fn refusal() -> ApiError {
    ApiError::new(ErrorCode::Unavailable)
        .with_reason("too many large manifests or lists are on their way to clients that do not read them")
        .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const LARGEST: usize = 4 << 20;

    fn client(number: u8) -> Option<IpAddr> {
        Some([192, 0, 2, number].into())
    }

    /// A document in memory of its own.
    fn document() -> Bytes {
        vec![0; LARGEST].into()
    }

    fn taken(budget: &DocumentBudget) -> usize {
        budget.sent.taken.lock().bytes
    }

    fn is_empty(budget: &DocumentBudget) {
        let taken = budget.sent.taken.lock();
        assert!(taken.bytes == 0 && taken.by_client.is_empty() && taken.documents.is_empty(), "{taken:?}");
    }

    /// Asks for documents until one must wait.
    fn ask(budget: &DocumentBudget, number: u8) -> Vec<Bytes> {
        let counted = || budget.count(client(number), document()).now_or_never();
        std::iter::from_fn(|| Some(counted()?.unwrap())).collect()
    }

    #[tokio::test]
    async fn one_client_leaves_room_for_others_and_many_for_another() {
        let budget = DocumentBudget::default();
        let first = ask(&budget, 1);
        assert!((8..=32).contains(&first.len()), "{}", first.len());
        let held: Vec<_> = (2..12).map(|number| ask(&budget, number)).collect();
        assert!(held.iter().all(|documents| !documents.is_empty()));
        assert!(taken(&budget) <= MAX_SENT_BYTES);
        assert_eq!(ask(&budget, 12).len(), 1, "the first document of another client");
    }

    #[test]
    fn a_document_counts_until_its_last_slice_is_gone_and_a_small_one_never() {
        let budget = DocumentBudget::default();
        let counted = budget.count(client(1), document()).now_or_never().unwrap().unwrap();
        let end = counted.slice(LARGEST - 1..);
        drop(counted);
        assert_eq!(taken(&budget), LARGEST);
        drop(end);
        assert_eq!(taken(&budget), 0);
        is_empty(&budget);
        let small = Bytes::from(vec![b'x'; SMALL_BYTES]);
        let small = budget.count(client(1), small).now_or_never().unwrap().unwrap();
        assert_eq!((taken(&budget), small.len()), (0, SMALL_BYTES));
        let huge = Bytes::from(vec![b'x'; MAX_SENT_BYTES + 1]);
        assert!(budget.count(client(1), huge).now_or_never().unwrap().is_ok(), "it could never be served");
    }

    #[test]
    fn a_document_that_many_responses_share_counts_once_for_all_and_for_each_client() {
        let (budget, document) = (DocumentBudget::default(), document());
        let count = |number| budget.count(client(number), document.clone()).now_or_never().unwrap().unwrap();
        let mut held: Vec<_> = (0..1000_u32).map(|number| count((number % 4) as u8)).collect();
        held.extend((0..100).map(|_| budget.count(None, document.clone()).now_or_never().unwrap().unwrap()));
        assert_eq!(taken(&budget), LARGEST);
        let of_clients = budget.sent.taken.lock().by_client.clone();
        assert!(
            of_clients.len() == 4 && of_clients.values().all(|bytes| *bytes == LARGEST),
            "{of_clients:?}"
        );
        // The others hold it still.
        let last = held.pop();
        drop(held);
        assert_eq!(taken(&budget), LARGEST);
        assert!(budget.sent.taken.lock().by_client.is_empty());
        drop(last);
        is_empty(&budget);
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_waits_for_room_and_not_for_ever() {
        let budget = Arc::new(DocumentBudget::default());
        let mut held = ask(&budget, 1);
        let next = budget.clone();
        let next = tokio::spawn(async move { next.count(client(1), document()).await });
        tokio::task::yield_now().await;
        held.pop();
        held.push(next.await.unwrap().unwrap());
        let refused = budget.count(client(1), document()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        let waiting = MAX_WAITING_BYTES / LARGEST;
        let mut all: Vec<_> = (0..waiting).map(|_| Box::pin(budget.count(client(1), document()))).collect();
        let refused = all.iter_mut().filter_map(|one| one.now_or_never()).filter(Result::is_err).count();
        assert!((1..waiting).contains(&refused), "{refused} of {waiting} do not wait");
    }
}
