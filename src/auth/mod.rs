//! Who may do what.
//!
//! A request names what it wants as a list of [`Access`]; an [`AccessController`] looks at the request's
//! [`Credentials`] and answers with a [`Grant`] or with the reason it was [`Denied`].
//! The meaning in HTTP (401, 403, 429, 503) is given by the HTTP room alone; nothing here knows of status codes.

mod access;
mod anonymous;
mod basic;
mod challenge;
mod controller;
mod htpasswd;
pub mod htpasswd_file;
mod login_line;
mod password_list;
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
pub use self::silly::Silly;
pub use self::throttle::ThrottleOptions;
