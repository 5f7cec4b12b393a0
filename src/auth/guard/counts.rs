//! `DecisionCounts`: what the guard has decided so far, for metrics. Never by user or repository: both would be without bound.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::auth::token::own::Refusal;

/// How often the guard decided what.
#[derive(Debug, Default)]
pub struct DecisionCounts {
    decisions: [AtomicU64; DECISIONS.len()],
    issued: [AtomicU64; KINDS.len()],
    refused: [AtomicU64; REASONS.len()],
}

/// The decision of the rules about a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision {
    /// A rule gives it, and the token does.
    Allowed,
    /// No rule gives it to this user or robot.
    Forbidden,
    /// No rule gives it to clients without a login.
    LoginNeeded,
    /// The rules give it, but the bearer token was issued for less.
    InsufficientScope,
}

const DECISIONS: [&str; 4] = ["allowed", "forbidden", "login_needed", "insufficient_scope"];

/// The credential for which a bearer token was issued.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenKind {
    Password,
    Robot,
    Certificate,
    Anonymous,
}

const KINDS: [&str; 4] = ["password", "robot", "certificate", "anonymous"];

/// Why a bearer token was refused, where the remedies differ.
#[derive(Clone, Copy, Debug)]
enum TokenProblem {
    Expired,
    Revoked,
    /// Of another registry or key.
    NotOurs,
    /// No token of ours has that form.
    Invalid,
}

const REASONS: [&str; 4] = ["expired", "revoked", "not_ours", "invalid"];

impl TokenProblem {
    fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Expired(_) => Self::Expired,
            Refusal::Revoked => Self::Revoked,
            Refusal::NotOurs
            | Refusal::Issuer(_)
            | Refusal::Audience(_)
            | Refusal::UnknownKey(_)
            | Refusal::NoKey
            | Refusal::Chain(_)
            | Refusal::NoKeysYet => Self::NotOurs,
            Refusal::TooLong { .. }
            | Refusal::NotCompact
            | Refusal::Header(_)
            | Refusal::Claims(_)
            | Refusal::Critical
            | Refusal::Algorithm(_)
            | Refusal::NeverExpires
            | Refusal::LivesTooLong(_)
            | Refusal::NotYet(_)
            | Refusal::Signature => Self::Invalid,
        }
    }
}

impl DecisionCounts {
    pub(super) fn decided(&self, decision: Decision) {
        increment(&self.decisions[decision as usize]);
    }

    pub(super) fn issued(&self, kind: TokenKind) {
        increment(&self.issued[kind as usize]);
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        increment(&self.refused[TokenProblem::of(refusal) as usize]);
    }

    /// Decisions about requests, by what came of them.
    pub fn decisions(&self) -> Vec<(&'static str, u64)> {
        read(DECISIONS, &self.decisions)
    }

    /// Bearer tokens that were issued, by the credential that they were issued for.
    pub fn tokens_issued(&self) -> Vec<(&'static str, u64)> {
        read(KINDS, &self.issued)
    }

    /// Bearer tokens that did not count, by the reason.
    pub fn tokens_refused(&self) -> Vec<(&'static str, u64)> {
        read(REASONS, &self.refused)
    }
}

fn increment(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read<const N: usize>(names: [&'static str; N], counts: &[AtomicU64; N]) -> Vec<(&'static str, u64)> {
    names.into_iter().zip(counts).map(|(name, count)| (name, count.load(Ordering::Relaxed))).collect()
}
