//! Jobs that copy from other registries, over a scripted upstream: the requests there, and the images in the store afterwards.

mod budgets;
mod choices;
mod command;
mod complete_command;
mod copies;
mod dry_run;
mod failures;
mod interruptions;
mod large_images;
mod leftovers;
mod platforms;
mod prune;
mod schedule;
mod stopped_runs;
mod support;
mod visibility;
