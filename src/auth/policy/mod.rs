//! The rules of `access`: who may do what. Pure: no file, no clock, no request.
//!
//! A rule only allows, and what any rule allows is allowed, so neither the order of rules nor the length of their patterns has a
//! meaning, and adding a rule never takes anything away. Sections of the configuration and the policy file become a [`Policy`];
//! the passwords, tokens and certificates that prove an [`Identity`](super::Identity) are elsewhere.

mod actions;
mod check;
mod decide;
mod decisions;
mod explain;
mod explanation;
mod glob;
mod name_pattern;
mod pattern_set;
mod rights;
mod rule;
pub mod zot;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use self::actions::ActionSet;
pub use self::check::check;
pub use self::decide::Policy;
pub use self::explanation::{Explanation, Membership, NearMiss, Reason};
pub use self::glob::{PolicyTooLarge, name_matcher};
pub use self::rights::{InvalidRights, Rights};
