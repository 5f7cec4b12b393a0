//! Whether the registry can do its work: what is looked at, and what was seen.
//!
//! Two things are told apart. A failing check takes the registry out of service; a lack of room, or a disk that cannot be
//! written to, only keeps clients from beginning uploads, and reads go on; probes say why and stay well.
//! Absent on purpose: what an unhealthy registry answers (`http`, `debug`), and starting the checks (`app`).

mod check;
mod disk_space;
mod periodic_check;
mod status;

pub use self::check::{Check, FileCheck, HttpCheck, HttpRequest, Seen, StorageCheck, TcpCheck};
pub use self::disk_space::{DiskSpace, Need, Room};
pub use self::periodic_check::PeriodicCheck;
pub use self::status::HealthStatus;
