//! `auth.token`: bearer tokens that a token server signs and clients show, as Docker's token specification has it.
//!
//! A token is a JWS in its compact form (RFC 7515). Four things are decided here and nowhere else: which algorithms are
//! taken, which key a token may be checked with, what its claims must say, and what they allow.
//! The signature itself is checked by aws-lc-rs and the chain of certificates by webpki.
//! Absent on purpose: issuing tokens, and asking anybody about a token while a request waits.
//!
//! Why no JWT library: the one that is well kept has no ES512, which Distribution takes, and hands out one key for a
//! token where the rules below (chains, embedded keys, several names for one key) need their own choice. What is left
//! for us is splitting a text at its dots.

mod algorithm;
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
mod refusal;
mod remote;
mod root;
#[cfg(test)]
mod testing;

pub use self::algorithm::Algorithm;
pub use self::controller::{Realm, Token, TokenSettings};
pub use self::error::TokenError;
pub use self::keys::KeySettings;
pub use self::remote::RemoteKeys;
