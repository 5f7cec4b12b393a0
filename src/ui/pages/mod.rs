//! The pages: each reads what it shows from the engine, and fills its template.

pub(crate) mod collections;
mod column;
mod commands;
pub(crate) mod compare;
mod comparison;
mod config;
mod crumbs;
pub(crate) mod delete;
pub(crate) mod image;
pub(crate) mod layer;
pub(crate) mod login;
mod page_budget;
pub(crate) mod preferences;
mod problem;
pub(crate) mod repositories;
mod repository_row;
pub(crate) mod restore;
mod sharing;
pub(crate) mod storage;
mod stored_image;
mod tag_order;
pub(crate) mod tags;
pub(crate) mod tokens;
mod verification;

use column::Column;
use crumbs::{Step, crumbs, steps};
pub(crate) use problem::{Problem, problem};
use problem::{add_retry_after, refused};
pub use tokens::shell_word;
