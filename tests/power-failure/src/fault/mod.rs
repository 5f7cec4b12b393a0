//! Faults of the operating system below a running registry.

mod actor;
mod files;
mod plan;
mod run;
mod scenario;
mod service;

pub(crate) use run::{Case, Options, run};
