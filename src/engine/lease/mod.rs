//! Leases: what a registry says is there stays there, although a collection of garbage may be going on.
//!
//! "This blob is here" (HEAD 200, mount 201, upload 201), "this manifest is here" and "this manifest is stored" are leases:
//! what they are about stays for half the grace period, even if nothing refers to it, so that the client can go on with its
//! push. Registry and collector, of any number of processes, hold to them without a lock. Both *write first and look second*,
//! so that at least one sees the other:
//!
//! | collector | whoever leases |
//! |---|---|
//! | 1. writes a notice, `gc/run-<run>-0`, and waits until every process must have noticed | 1. makes its *token* young: writes it, unless it is younger than half the grace |
//! | 2. marks; divides what is dead into batches | 2. is there a run? (that there is none is believed for [`RUN_CACHE_TTL`]) |
//! | 3. publishes the batch as pending deletions, `gc/doomed-<run>-<number>` | 3. is it in a batch of any run? |
//! | 4. marks again; drops from the batch what lives now | 4. yes: HEAD says 404, a mount becomes an upload; an upload or manifest waits until the batch is gone, and begins again with 1 |
//! | 5. deletes the rest, references first; removes the batch; next batch | 5. no: sees that token and data are there *now*, and leases |
//!
//! Whatever has a young token is live for the collector. Tokens are files that Distribution knows:
//!
//! - of a blob in a repository, its layer link. An upload writes the link, looks, and then commits the data;
//! - of a manifest in a repository, its *data*. A revision link would not do: to renew it is to write it, and between seeing it
//!   and writing it the manifest may have been collected; a crash would then leave a link to nothing. Data without a link are
//!   harmless. The revision link is written last of all, and looked after once more, because the collector deletes those too.
//!
//! The collector may publish several batches before it marks again, once for all of them, and then goes through 5 with each. What
//! is in one of them waits for those before it; for each thing the order of the steps is the same.
//!
//! Why the order is enough: if the look came before the batch was published, the token was written before the second mark,
//! which sees it. If it came after the batch was cleared, the last sight shows what the collector has left. In between, it
//! finds the batch. What is remembered of "no run" is no older than [`RUN_CACHE_TTL`], so that a token that was written before such a
//! look was written before the mark began.
//!
//! # Pauses, clocks, and stores that are late
//!
//! A process may be stopped for any time between two steps, a machine may sleep, and a store may carry out a request long after
//! nobody waits for it any more. These rules keep the leases all the same; `tests/models/collector.py` tries every interleaving
//! of them, and that each is needed.
//!
//! - *Each run has files of its own*, each of which is written once and whose names no other run uses. Whatever a run writes or
//!   removes late concerns nothing but itself, so two runs at once do no harm.
//! - *A run that was silent for too long is over.* Each sign of life is a further notice; without one a run is believed to go on
//!   for `LOCK`. For half as long it may delete, by whatever clock shows most: monotonic, that which also counts while the
//!   machine sleeps, wall, and that of the store.
//! - *A deletion has a deadline*, for which the driver asks right before it: rule C18 of the contract.
//! - *What was not answered stays pending.* A batch is removed by its own run alone, and only when every deletion was answered and
//!   none can be under way. Of a run that came to no end, registries honour the pending deletions for `AFTERLIFE` beyond the lock.
//! - *Registries measure that themselves*, from the moment at which they first saw the newest file of a run, by a clock that does
//!   not jump. So nobody's wall clock can make them forget, nor block a store for a day.
//! - *A promise during a run is made after a look*, even if the token is young: an upload that waits for the collector has written
//!   one.
//! - *An upload sees after its look that its link is there*, unless it knew before it wrote the link that there was no run.
//!
//! The last sight costs requests, and while there is no run nothing vanishes: data that were seen or stored since the look that
//! is still believed are there (`Leases::has_data`). That is no cache: the answer is as old as that look at most,
//! and what a user may delete at any time, a link, is asked of the store each time.
//!
//! What it takes for granted: a store carries nothing out later than `AFTERLIFE` after it was sent; no machine stands still, with
//! *all* its clocks, between two steps for longer than that; from its token to the end of a promise nobody takes longer than half the grace; clocks agree
//! better than that. A registry that is not told its grace (no collection configured) renews nothing until it sees a run, and
//! what it said before a run began is no promise; its manifests are safe all the same, because it looks again when the last
//! look is too old, also after the link was written, and makes every token young when that does not help.
//!
//! Pulls never look and never write: what a live manifest needs is never doomed.
//! Absent on purpose: anything about what is garbage (see [`gc`](crate::gc)).

mod leases;
mod pending;
mod runs;

pub(crate) use leases::{Leases, PendingSnapshot, RefreshPolicy, Retry, signs};
pub(crate) use pending::{ActiveRun, Batch, DeletionKey, PendingDeletions, millis};
pub(crate) use runs::{AFTERLIFE, LOCK, Sign};

/// How long a process believes that there is no run.
pub const RUN_CACHE_TTL: std::time::Duration = std::time::Duration::from_secs(2);
