//! The composition root: [`App::build`] makes a registry from a configuration, [`App::run`] serves it until a signal. Nothing
//! else builds things.

mod access;
mod backup;
mod build;
mod caches;
mod check;
mod collection;
mod commands;
mod debug;
mod descriptors;
mod engine;
mod error;
mod exposure;
mod health;
mod last_lines;
mod metrics;
mod metrics_caches;
mod metrics_sync;
mod middleware;
mod migrate;
mod network;
mod notifications;
mod page_collections;
mod page_verifications;
mod reload;
mod run;
mod settings;
mod signals;
mod start_parts;
mod store;
mod sync;
mod systemd;
mod tasks;
mod token;
mod traces;
mod transfer;
mod ui;
mod verification;

use self::access::Access;
use self::health::Checks;
use self::settings::http_options;

pub use self::access::{guard_for_command, signing_key};
pub use self::backup::{BackupStores, backup_stores};
pub use self::build::App;
pub use self::caches::{CacheSetupError, caches_if_configured as caches};
pub use self::check::{Files, check};
pub use self::collection::eviction;
pub use self::commands::{collect, inventory};
pub use self::error::AppError;
pub use self::migrate::{MigrationAccess, MigrationStores, migration_stores};
pub use self::sync::{SyncSetupError, jobs as sync_jobs};
pub use self::transfer::{
    existing_store, export_store, free_bytes, has_store, import_store, no_store, read_store,
};
