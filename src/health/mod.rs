//! Health checks and their results.
//!
//! There are two kinds of problems. A failing check takes the registry out of service. A lack of space, or a
//! read-only disk, only refuses new uploads: reads continue, and probes report the reason but succeed. Absent
//! on purpose: the responses of an unhealthy registry (`http`, `debug`), and starting the checks (`app`).

mod check;
mod disk_space;
mod periodic_check;
mod status;

pub use self::check::{Check, CheckResult, FileCheck, HttpCheck, HttpRequest, StorageCheck, TcpCheck};
pub use self::disk_space::{DiskSpace, FileSystemSpace, SpaceNeed};
pub use self::periodic_check::PeriodicCheck;
pub use self::status::HealthStatus;
