//! The contract between the Sampan registry and its storage drivers.
//!
//! A driver stores bytes under paths: a directory of files, a bucket, a map in memory. The registry's engine
//! uses it only through [`StorageDriver`], and the suite in `sampan-conformance` enforces the rules below,
//! each by the clause named beside it. Absent on purpose: registries, HTTP, configuration files.
//!
//! | | rule | clause |
//! |---|---|---|
//! | C1 | [`put_content`](StorageDriver::put_content) is atomic: a reader sees the old or the new whole | `content::overwrite_is_never_torn` |
//! | C2 | [`PutMode::Create`] has exactly one winner among racers | `content::create_has_one_winner` |
//! | C3 | nothing is visible at `to` before [`commit`](FileWriter::commit), and then the whole; the staging path has no guarantees for readers | `writer::nothing_appears_before_commit` |
//! | C4 | [`WriteMode::Append`] continues a closed writer, also from a reopened driver | `writer::append_survives_reopen` |
//! | C5 | [`size`](FileWriter::size) of an appended writer is the size really stored | `writer::append_reports_true_size` |
//! | C6 | [`list`](StorageDriver::list) is one level, sorted, resumable by `after`; [`walk`](StorageDriver::walk) is in order of whole paths; a path with nothing under it is an empty stream, never `NotFound` | `list::missing_is_empty`, `list::pages_join`, `walk::order_is_that_of_whole_paths` |
//! | C7 | directories do not exist: [`stat`](StorageDriver::stat) of a mere prefix is `NotFound` | `stat::prefix_is_not_found` |
//! | C8 | [`delete`](StorageDriver::delete) and [`delete_tree`](StorageDriver::delete_tree) of nothing succeed | `delete::is_idempotent` |
//! | C9 | `delete_tree` respects component borders and removes staged uploads | `delete::tree_stops_at_component` |
//! | C10 | reading from `size` gives an empty stream; beyond is [`RangeInvalid`](ErrorKind::RangeInvalid) | `reader::offset_edges` |
//! | C11 | [`rename`](StorageDriver::rename) replaces its target and removes the source; a missing source is `NotFound` and leaves the target alone | `rename::replaces_target` |
//! | C12 | written files are at once readable, listed and walked | `walk::sees_own_writes` |
//! | C13 | after `put_content`, `put_all`, `commit` or `rename`, [`modified`](FileInfo::modified) is not earlier than that call | `stat::publishing_is_a_birth` |
//! | C14 | every error carries kind, driver, path and keeps its source | `errors::carry_context` |
//! | C15 | the [`note`](FileWriter::note) of an appended writer is the one that exactly its bytes were closed with | `writer::a_note_comes_back_with_its_bytes`, `writer::other_bytes_have_no_note` |
//! | C16 | [`revert`](FileWriter::revert) restores the state before the writer | `writer::revert_leaves_what_was_closed` |
//! | C17 | after [`sync_deletions`](StorageDriver::sync_deletions) no power failure restores the files it names; it deletes nothing itself | `delete::syncing_deletions_deletes_nothing` |
//! | C18 | [`delete_all`](StorageDriver::delete_all) starts no deletion after its [`Deadline`]; a file that yields `Ok` is deleted, and no request for it can still be executed | `delete::all_begins_nothing_too_late`, `delete::all_asks_for_the_deadline_again` |
//! | C19 | [`list_holding`](StorageDriver::list_holding) lists the same as `list`, except directories without the file | `list::holding_lists_those_with_the_file`, `list::holding_leaves_out_empty_directories` |
//! | C20 | [`put_all`](StorageDriver::put_all) publishes files in their order: readers, failures and crashes find a beginning of the list, and on return all are durable | `put_all::publishes_every_file`, `put_all::no_file_appears_before_an_earlier_one`, `put_all::a_failure_leaves_a_beginning` |
//! | C21 | a [`view`](FileWriter::view), where a driver has one, shows the beginning of a staged file while it is written: exactly those bytes, never fewer than before, and also after `commit` | `view::shows_what_was_written`, `view::keeps_its_bytes_after_the_end` |
//!
//! C13 is the basis of garbage collection: POSIX `rename` keeps the old timestamp, so an upload that rested
//! for a day would be published with an old time, and could be collected between its commit and the manifest
//! that names it. C18 lets a collector and a registry share a store without a lock that must hold: a process
//! that was stopped for an hour deletes nothing pushed meanwhile, and the caller knows which deletions may
//! still happen. A driver must therefore not repeat a deletion while an earlier request for it may be
//! running, and then return `Ok`. C6, C7 and C8 differ from Distribution's drivers: directories are an
//! implementation detail of a filesystem, and retries and garbage collection need repeatable deletion.
//!
//! A [`walk`](StorageDriver::walk) never reports an unreadable place as empty: it yields an error of the kind
//! [`Unseen`](ErrorKind::Unseen) that names the place, and continues after it. Clients' listings skip such
//! places.
//!
//! Polling a driver's future or stream must not block on a disk
//! (`executor::no_operation_waits_where_it_is_polled`), unless the thread allows it with [`allow_blocking`],
//! whose clause is `concurrency::a_patient_thread_is_told_the_same`.

mod blocking;
mod config;
mod deadline;
mod driver;
mod error;
mod error_chain;
mod forward;
mod info;
mod options;
mod path;
mod put_all;
mod reader;
mod size;
mod sorted_keys;
mod view;
mod walk;
mod writer;

pub use blocking::{allow_blocking, may_block};
pub use config::{BuildError, DriverConfig, StoreAccess};
pub use deadline::Deadline;
pub use driver::{StorageDriver, StorageDriverExt};
pub use error::{BoxError, DriverError, ErrorKind, Operation, Result};
pub use error_chain::with_causes;
#[doc(hidden)]
pub use forward::forwarded;
pub use info::{Condition, DirEntry, FileInfo};
pub use options::{ByteRange, Capabilities, PutMode, RedirectRequest, WriteHint, WriteMode};
pub use path::{DriverPath, InvalidPath, as_component};
pub use put_all::put_one_by_one;
pub use reader::{FileReader, LocalFile};
pub use size::{ByteSize, HumanSize, parse_size};
pub use sorted_keys::list_sorted_keys;
pub use view::StagedView;
pub use walk::walk_fallback;
pub use writer::{FileWriter, MAX_NOTE_BYTES};
