//! What is done to every request, from the outside in. The order and its reasons stand with `router`.

mod around;
mod catch_panic;
mod combined;
mod dress;
mod fold_name;
mod guard_health;
mod limit_uploads;
mod observe;
mod trace;

pub(super) use around::Around;
pub(super) use catch_panic::CatchPanic;
pub(super) use dress::Dress;
pub(super) use fold_name::FoldName;
pub(super) use guard_health::GuardHealth;
pub(super) use limit_uploads::LimitUploads;
pub(super) use observe::Observe;
pub(super) use trace::Trace;
