//! Carrying images from one registry to another by a bundle: selection, export, import, and what a registry has.
//!
//! A [`Source`] is read and a [`Target`] written; each is a store, or a registry through its API. [`plan()`] walks the selected
//! images and makes the plan of a bundle; [`import()`] walks the plan of a bundle, or of a source itself, and stores its images,
//! each with its tags once it is whole.
//!
//! Absent on purpose: the format of bundles, which is `sampan-bundle`'s, those of other tools, which are `sampan-foreign`'s, and
//! printing.

mod attachments;
mod children;
mod chosen;
mod draft;
mod error;
mod export;
mod export_options;
mod fallback;
mod foreign;
mod holdings;
mod import;
mod import_checks;
mod import_root;
mod import_tags;
mod importer;
mod in_order;
mod intact;
mod inventory;
mod known_content;
mod missing;
mod pipe_position;
mod placed;
mod placing;
mod plan_reader;
mod plan_size;
mod planned;
mod planner;
#[cfg(test)]
mod planner_tests;
mod prune;
mod queue;
mod registry_source;
mod registry_target;
mod renames;
mod report;
mod rewrite;
mod selection;
mod source;
mod space;
mod spool;
mod store_source;
mod store_target;
mod target;
mod upload_memory;

pub use error::{Error, Result};
pub use export::{CountingOutput, Exported};
pub use export_options::ExportOptions;
pub use fallback::fallback_subject;
pub use holdings::{Holdings, InventoryError};
pub use import::{ImportOptions, Progress, TagPolicy, import};
pub use inventory::{Inventory, inventory, inventory_by_api};
pub use missing::{Missing, MissingFrom, MissingImage, images_with, missing};
pub use placing::places;
pub use plan_reader::{LiveExport, PlanReader};
pub use planned::{Planned, PlannedFailure};
pub use planner::plan;
pub use prune::{PruneOutcome, PrunePlan, PruneReport, PrunedTag, StaleRepository};
pub use registry_source::RegistrySource;
pub use registry_target::RegistryTarget;
pub use renames::{InvalidRename, Rename, Renames};
pub use report::{Failure, ImportReport, TagChange};
pub use rewrite::{IndexPolicy, RewrittenImage};
pub use selection::{InvalidPlatform, InvalidSelector, ListedSelector, Platform, Selector, parse_lines};
pub use source::{FoundManifest, Source};
pub use store_source::StoreSource;
pub use store_target::StoreTarget;
pub use target::{NewManifest, Target};
