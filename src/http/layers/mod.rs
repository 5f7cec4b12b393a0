//! The steps around every request, one per file; `service` defines their order.

mod access_log;
mod catch_panic;
mod exchange;
mod limit_uploads;
mod request_count;
pub(super) mod response_headers;
pub(super) mod trace;

pub(super) use catch_panic::catch_panic;
pub(super) use exchange::Exchange;
pub(super) use limit_uploads::{UploadSlots, limit_uploads};
