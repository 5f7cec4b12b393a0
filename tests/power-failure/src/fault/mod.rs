//! Faults of the operating system below a running registry.

mod actor;
mod file_content;
mod files;
mod plan;
mod run;
mod scenario;
mod service;

pub(crate) use run::{Case, Options, run};
