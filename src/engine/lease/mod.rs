//! Leases: a client can rely on a blob or manifest that the registry has confirmed, even while a garbage collection runs.
//!
//! "This blob is here" (HEAD 200, mount 201, upload 201), "this manifest is here" and "this manifest is stored" are leases:
//! the blob or manifest stays for half the grace period, even if nothing refers to it, so that the client can continue with
//! its push. Registries and collectors, in any number of processes, keep leases without a lock. Both *write first and check
//! second*, so that at least one sees the other:
//!
//! | collector | registry |
//! |---|---|
//! | 1. writes a notice, `gc/run-<run>-0`, and waits until every process must have seen it | 1. renews the *lease file*: writes it, unless it is younger than half the grace period |
//! | 2. marks; divides the garbage into batches | 2. checks whether there is a run (it caches "no run" for [`RUN_CACHE_TTL`]) |
//! | 3. publishes the batch as pending deletions, `gc/doomed-<run>-<number>` | 3. checks whether a batch of any run names the blob or manifest |
//! | 4. marks again; drops from the batch what is live now | 4. yes: HEAD answers 404, a mount becomes an upload; an upload or manifest waits until the batch is gone, and begins again with 1 |
//! | 5. deletes the rest, references first; removes the batch; next batch | 5. no: verifies that lease file and data exist *now*, and grants the lease |
//!
//! A blob or manifest is live for the collector while its lease file is younger than the grace period. Lease files are
//! files that Distribution knows:
//!
//! - For a blob in a repository, its layer link. An upload writes the link, checks for pending deletions, and then commits
//!   the data.
//! - For a manifest in a repository, its *data*. A revision link would not do: to renew it is to write it, and the
//!   collector may delete the manifest between the registry's check of the link and that write; a crash would then leave a
//!   link to nothing. Data without a link are harmless. The registry writes the revision link last of all and verifies it
//!   once more afterwards, because the collector deletes revision links too.
//!
//! The collector may publish several batches before it marks again, once for all of them; it then performs step 5 for each.
//! An entry of a batch waits for the batches before it; the order of the steps is the same for every entry.
//!
//! Why the order suffices: if the registry checked before the collector published the batch, it wrote the lease file before
//! the second mark, which sees the file. If it checked after the collector removed the batch, step 5 shows what the
//! collector has left. In between, the check finds the batch. A cached "no run" is no older than [`RUN_CACHE_TTL`], so a
//! lease file that was written before such a check was written before the mark began.
//!
//! # Pauses, clocks, and late stores
//!
//! A process may stop for any time between two steps, a machine may sleep, and a store may carry out a request long after
//! the process that sent it has stopped waiting. The following rules keep the leases nevertheless;
//! `tests/models/collector.py` tries every interleaving of them, and shows that each is needed.
//!
//! - *Each run has its own files.* A run writes each of them once, and no other run uses their names. A late write or
//!   removal affects only the run that sent it, so two runs at once do no harm.
//! - *A run that was silent for too long is over.* Each sign of life is a further notice; without one, a run counts as
//!   alive for `LOCK`. The run itself may delete for half as long, by the clock that shows the longest time: the monotonic
//!   clock, the clock that also counts while the machine sleeps, the wall clock, or the clock of the store.
//! - *A deletion has a deadline*, which the driver checks right before it deletes: clause C18 of the driver contract.
//! - *An unanswered deletion stays pending.* Only its own run removes a batch, and only when the store has answered every
//!   deletion and none can be under way. After a run that did not finish, registries honour its pending deletions for
//!   `AFTERLIFE` beyond the lock.
//! - *Registries measure these times themselves*, from the moment at which they first saw the newest file of a run, by a
//!   clock that does not jump. So a wrong wall clock can neither make them forget a run nor block a store for a day.
//! - *During a run, the registry grants a lease only after a check for pending deletions*, even if the lease file is young:
//!   an upload that waits for the collector has written one, too.
//! - *After its check, an upload verifies that its link still exists*, unless it knew before it wrote the link that there
//!   was no run.
//!
//! Step 5 costs requests. While there is no run nothing vanishes, so data that were seen or stored since a check whose "no
//! run" is still valid need no request (`Leases::has_data`). This is no cache: the answer is at most as old as that check,
//! and the registry asks the store for a link each time, because a user may delete it at any moment.
//!
//! Assumptions:
//!
//! - A store carries out no request later than `AFTERLIFE` after it was sent.
//! - No machine halts, with *all* its clocks, between two steps for longer than that.
//! - From step 1 to the end of the lease, a push takes no longer than half the grace period.
//! - Clocks differ by less than that.
//!
//! A registry without a configured grace period (no collection configured) renews nothing until it sees a run, and its
//! answers from before a run began are no leases. Its manifests are safe nevertheless: it checks again when the last check
//! is too old, also after it has written the link, and renews every lease file when that does not help.
//!
//! Pulls neither check nor write: pending deletions never name what a live manifest needs.
//!
//! Deliberately absent: which blobs and manifests are garbage (see [`gc`](crate::gc)).

mod leases;
mod pending;
mod runs;

pub(crate) use leases::{Leases, PendingSnapshot, RefreshPolicy, Retry, signs};
pub(crate) use pending::{ActiveRun, Batch, DeletionKey, PendingDeletions};
pub(crate) use runs::{AFTERLIFE, LOCK, Sign};

/// How long a process relies on a check that found no run.
pub const RUN_CACHE_TTL: std::time::Duration = std::time::Duration::from_secs(2);
