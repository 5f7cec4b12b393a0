//! What is done to every request, from the outside in. The order and its reasons stand with `router`.

mod catch_panic;
mod dress;
mod fold_name;
mod observe;

pub(super) use catch_panic::CatchPanic;
pub(super) use dress::Dress;
pub(super) use fold_name::FoldName;
pub(super) use observe::Observe;
