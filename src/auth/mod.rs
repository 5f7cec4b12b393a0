//! Authentication and authorization.
//!
//! A request names its wants as a list of [`Access`]; an [`AccessController`] checks the request's
//! [`Credentials`] and returns a [`Grant`] or the reason why the request is [`Denied`]. Only `http` maps
//! these to status codes (401, 403, 429, 503).

mod access;
mod anonymous;
mod basic;
mod challenge;
mod controller;
mod htpasswd;
pub mod htpasswd_file;
mod identity;
mod login_queue;
mod password_list;
pub mod policy;
mod policy_file;
mod provision;
mod shown;
mod silly;
mod success_cache;
mod throttle;
pub mod token;

pub use self::access::{Access, Action, Resource};
pub use self::anonymous::Anonymous;
pub use self::challenge::{Challenge, InvalidParameter};
pub use self::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant};
pub use self::htpasswd::{Htpasswd, HtpasswdError};
pub use self::identity::{Identity, Robot};
pub use self::policy::{Policy, Rights};
pub use self::policy_file::{PolicyError, PolicyFile};
pub use self::silly::Silly;
pub use self::throttle::ThrottleOptions;
