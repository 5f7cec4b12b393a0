//! The contract between the Sampan registry and its storage drivers.
//!
//! A driver keeps bytes under paths: a directory of files, a bucket, a map in memory.
//! The registry's engine speaks to it through [`StorageDriver`] alone, and the suite in `sampan-conformance` holds it to the
//! rules below, each by the clause that it names. Absent on purpose: registries, HTTP, configuration files.
//!
//! | | rule | clause |
//! |---|---|---|
//! | C1 | [`put_content`](StorageDriver::put_content) is atomic: a reader sees the old or the new whole | `content::overwrite_is_never_torn` |
//! | C2 | [`PutMode::Create`] has exactly one winner among racers | `content::create_has_one_winner` |
//! | C3 | nothing is visible at `to` before [`commit`](FileWriter::commit), and then the whole; what readers see at the staging path is not promised | `writer::nothing_appears_before_commit` |
//! | C4 | [`WriteMode::Append`] continues a closed writer, also from a reopened driver | `writer::append_survives_reopen` |
//! | C5 | [`size`](FileWriter::size) of an appended writer is what is truly stored | `writer::append_reports_true_size` |
//! | C6 | [`list`](StorageDriver::list) is one level, sorted, resumable by `after`; [`walk`](StorageDriver::walk) is in order of whole paths; a path with nothing under it is an empty stream, never `NotFound` | `list::missing_is_empty`, `list::pages_join`, `walk::order_is_that_of_whole_paths` |
//! | C7 | directories do not exist: [`stat`](StorageDriver::stat) of a mere prefix is `NotFound` | `stat::prefix_is_not_found` |
//! | C8 | [`delete`](StorageDriver::delete) and [`delete_tree`](StorageDriver::delete_tree) of nothing succeed | `delete::is_idempotent` |
//! | C9 | `delete_tree` respects component borders and removes staged uploads | `delete::tree_stops_at_component` |
//! | C10 | reading from `size` gives an empty stream; beyond is [`RangeInvalid`](ErrorKind::RangeInvalid) | `reader::offset_edges` |
//! | C11 | [`rename`](StorageDriver::rename) replaces its target and removes the source; a missing source is `NotFound` and leaves the target alone | `rename::replaces_target` |
//! | C12 | what was written is at once readable, listed and walked | `walk::sees_own_writes` |
//! | C13 | after `put_content`, `commit` or `rename`, [`modified`](FileInfo::modified) is not earlier than that call | `stat::publishing_is_a_birth` |
//! | C14 | every error carries kind, driver, path and keeps its source | `errors::carry_context` |
//! | C15 | the [`note`](FileWriter::note) of an appended writer is what its bytes, and no others, were closed with | `writer::a_note_comes_back_with_its_bytes`, `writer::other_bytes_have_no_note` |
//! | C16 | [`revert`](FileWriter::revert) leaves what was there before the writer | `writer::revert_leaves_what_was_closed` |
//! | C17 | after [`sync_deletions`](StorageDriver::sync_deletions) no power failure brings the files back that it names; it removes nothing itself | `delete::syncing_deletions_deletes_nothing` |
//! | C18 | [`delete_all`](StorageDriver::delete_all) begins no deletion after its [`Deadline`]; what it answers with `Ok` is gone, and no request for it can still be carried out | `delete::all_begins_nothing_too_late`, `delete::all_asks_for_the_deadline_again` |
//! | C19 | [`list_holding`](StorageDriver::list_holding) lists what `list` does, but for directories without the file | `list::holding_lists_those_with_the_file`, `list::holding_leaves_out_empty_directories` |
//!
//! C13 is the footing of garbage collection: POSIX `rename` keeps the old timestamp, so an upload that rested for a day would
//! be born old, and could be swept between its commit and the manifest that names it.
//! C18 is what lets a collector and a registry share a store without a lock that must hold: a process that was stopped for an
//! hour deletes nothing of what was pushed meanwhile, and a deletion that may still come is known to be one.
//! A driver must therefore not send a deletion again while an earlier request for it may be under way, and then say `Ok`.
//! C6, C7 and C8 differ from Distribution's drivers: directories are a filesystem's private affair, and deletion that can be
//! repeated is what retries and garbage collection need.
//!
//! A [`walk`](StorageDriver::walk) never takes a place for empty that it cannot see: it yields an error of the kind
//! [`Unseen`](ErrorKind::Unseen) that names the place, and goes on behind it. Clients' listings pass such places over.
//!
//! Whoever polls a future or stream of a driver must not be held up by a disk (`executor::no_operation_waits_where_it_is_polled`),
//! unless the thread has said that it may wait: [`allow_blocking`], whose clause is
//! `concurrency::a_patient_thread_is_told_the_same`.

mod blocking;
mod config;
mod deadline;
mod driver;
mod error;
mod forward;
mod info;
mod options;
mod path;
mod reader;
mod size;
mod walk;
mod writer;

pub use blocking::{allow_blocking, may_block};
pub use config::{BuildError, DriverConfig, StoreAccess};
pub use deadline::Deadline;
pub use driver::{StorageDriver, StorageDriverExt};
pub use error::{BoxError, DriverError, ErrorKind, Operation, Result};
#[doc(hidden)]
pub use forward::forwarded;
pub use info::{Condition, DirEntry, FileInfo};
pub use options::{ByteRange, Capabilities, PutMode, RedirectRequest, WriteHint, WriteMode};
pub use path::{DriverPath, InvalidPath, as_component};
pub use reader::{FileReader, LocalFile};
pub use size::{HumanSize, parse_size};
pub use walk::walk_fallback;
pub use writer::{FileWriter, MAX_NOTE_BYTES};
