//! Caches of other registries, over a scripted upstream: what is asked there, and what clients get.

mod access;
mod answers;
mod breaker;
mod budgets;
mod deletions;
mod limits;
mod lists;
mod mapping;
mod support;
mod tags;
mod transfers;
mod wrong_content;
