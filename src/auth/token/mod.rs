//! `auth.token`: bearer tokens signed by a token server, as in Docker's token specification.
//!
//! A token is a JWS in its compact form (RFC 7515). This module alone decides which algorithms are accepted,
//! which key verifies a token, which claims are required, and what they grant. aws-lc-rs verifies signatures,
//! webpki certificate chains. Absent on purpose: issuing tokens, and asking another server about a token
//! while a request waits.
//!
//! Why no JWT library: the well-maintained one has no ES512, which Distribution accepts, and selects one key
//! per token, while the rules below (chains, embedded keys, several ids per key) need their own selection.
//! The rest of the work is splitting text at its dots.

mod cached;
mod chain;
mod claims;
mod controller;
mod error;
mod jwk;
mod jws;
mod key;
mod keyring;
mod keys;
mod object;
mod refusal;
mod remote;
mod root;
#[cfg(test)]
mod testing;

/// The parts that also verify this registry's own tokens.
pub(super) mod own {
    pub(in crate::auth) use super::cached::VerifiedTokens;
    pub(in crate::auth) use super::claims::{Claims, LEEWAY_SECS};
    pub(in crate::auth) use super::controller::{bearer, scope};
    pub(in crate::auth) use super::jws::{Jws, KeyHint, MAX_TOKEN_BYTES};
    pub(in crate::auth) use super::key::Key;
    pub(in crate::auth) use super::refusal::Refusal;
}

pub use self::controller::{Realm, Token, TokenSettings};
pub use self::error::TokenError;
pub use self::keys::KeySettings;
pub use self::remote::RemoteKeys;
