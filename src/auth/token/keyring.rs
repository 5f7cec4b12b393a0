//! `Keyring`: all trusted keys by id, from one state of the files and of the fetched set.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use sampan_config::SigningAlgorithm;

use super::cached::VerifiedTokens;
use super::chain;
use super::jws::{Jws, KeyHint};
use super::key::Key;
use super::refusal::Refusal;
use super::root::Root;
use crate::auth::logged_text::LoggedText;

/// A key that may sign tokens.
#[derive(Clone)]
pub(super) struct TrustedKey {
    pub(super) key: Key,
    /// The only algorithm allowed for the key, if its set names one.
    pub(super) algorithm: Option<SigningAlgorithm>,
}

/// All trusted keys.
#[derive(Default)]
pub(super) struct Keyring {
    by_id: HashMap<String, Vec<TrustedKey>>,
    roots: Vec<Arc<Root>>,
    /// Tokens verified with these keys; dropped together with them.
    pub(super) verified: VerifiedTokens,
}

impl Keyring {
    pub(super) fn new(keys: Vec<(Vec<String>, TrustedKey)>, roots: Vec<Arc<Root>>) -> Self {
        let mut by_id: HashMap<String, Vec<TrustedKey>> = HashMap::new();
        for (ids, key) in keys {
            for id in ids {
                by_id.entry(id).or_default().push(key.clone());
            }
        }
        Self { by_id, roots, verified: VerifiedTokens::default() }
    }

    /// The number of key ids.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Checks that a trusted key signed the token.
    pub(super) fn verify(&self, jws: &Jws<'_>, now: UnixTime) -> Result<(), Refusal> {
        let id = match &jws.key {
            KeyHint::Chain { certificates, id } => {
                if !self.roots.is_empty() || id.is_none() {
                    let key = chain::key_of(certificates, &self.roots, now).map_err(Refusal::Chain)?;
                    return match key.verifies(jws.algorithm, jws.signed, &jws.signature) {
                        true => Ok(()),
                        false => Err(Refusal::Signature),
                    };
                }
                // Without roots no chain is valid; try the id beside it.
                id.as_deref()
            }
            KeyHint::Id(id) => Some(id.as_str()),
            KeyHint::Nothing => None,
        };
        let id = id.ok_or(Refusal::NoKey)?;
        let keys = self.by_id.get(id).ok_or_else(|| Refusal::UnknownKey(LoggedText::new(id)))?;
        let verifies = |trusted: &TrustedKey| {
            trusted.algorithm.is_none_or(|algorithm| algorithm == jws.algorithm)
                && trusted.key.verifies(jws.algorithm, jws.signed, &jws.signature)
        };
        if keys.iter().any(verifies) { Ok(()) } else { Err(Refusal::Signature) }
    }
}
