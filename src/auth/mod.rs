//! Authentication and authorization.
//!
//! A request names its wants as a list of [`Access`]; an [`AccessController`] checks the request's
//! [`Credentials`] and returns a [`Grant`] or the reason why the request is [`Denied`]. Only `http` maps
//! these to status codes (401, 403, 429, 503).

mod access;
mod access_tokens;
mod anonymous;
mod audit;
mod audit_file;
mod basic;
mod certificate;
mod challenge;
mod controller;
mod ended_tokens;
mod failed_login;
mod fixed_policy;
mod guard;
mod htpasswd;
pub mod htpasswd_file;
mod identity;
mod issuer;
mod lifetime;
mod live_policy;
mod logged_text;
mod login_queue;
mod new_token;
mod own_tokens;
mod password_file;
mod password_list;
pub mod policy;
mod policy_file;
mod provision;
mod rotation;
mod rules_event;
mod scope;
mod signing_keys;
mod silly;
mod stored_token;
mod success_cache;
mod throttle;
pub mod token;
mod token_record;
mod token_secret;

pub use self::access::{Access, Action, Resource};
pub use self::access_tokens::AccessTokens;
pub use self::anonymous::Anonymous;
pub use self::audit::{Audit, AuditEvent};
pub use self::audit_file::AuditFile;
pub use self::challenge::{Challenge, InvalidParameter};
pub use self::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant, View};
pub use self::ended_tokens::remove_ended_tokens;
pub use self::fixed_policy::FixedPolicy;
pub use self::guard::{
    DecisionCounts, ExaminedGrant, ExaminedToken, Guard, GuardError, GuardSettings, IssuedToken, TOKEN_PATH,
    TokenRequest, is_of_access_token,
};
pub use self::htpasswd::Htpasswd;
pub use self::identity::{Identity, Robot};
pub use self::lifetime::Lifetime;
pub use self::live_policy::{LivePolicy, LivePolicyError};
pub use self::new_token::{CheckedToken, InvalidToken, NewToken, token_event};
pub use self::own_tokens::{CannotCreate, OwnToken, OwnTokens};
pub use self::password_file::HtpasswdError;
pub use self::policy::{Policy, PolicyTooLarge, Rights, name_matcher};
pub use self::policy_file::{PolicyError, PolicyFile};
pub use self::rotation::CannotRotate;
pub use self::signing_keys::{SigningKeyError, rotate_signing_key};
pub use self::silly::Silly;
pub use self::stored_token::{StoredToken, StoredTokenError};
pub use self::throttle::ThrottleOptions;
pub use self::token_record::{InvalidRecord, TokenRecord, rfc3339};
pub use self::token_secret::TokenSecret;
