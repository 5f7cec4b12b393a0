//! Power failures on real file systems.

mod check;
mod device;
mod disk;
mod ledger;
mod maintenance;
mod record;
mod recording;
mod run;
mod workload;

pub(crate) use record::write_out;
pub(crate) use recording::Cut;
pub(crate) use run::{Options, replay, run};
