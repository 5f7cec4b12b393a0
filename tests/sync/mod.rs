//! Jobs that copy from other registries, over a scripted upstream: the requests there, and what is here afterwards.

mod budgets;
mod copies;
mod dry_run;
mod interruptions;
mod platforms;
mod support;
