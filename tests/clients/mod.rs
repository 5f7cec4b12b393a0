//! That the world's tools are content: real clients against the built binary.
//!
//! Each test is ignored unless asked for (`cargo test --test it -- --ignored clients`), since it needs programs that a
//! developer's machine may not have. `.ci/run` installs them and runs all; there, a missing one is a failure.

mod azure_copies;
mod big_blob;
mod chaos;
mod collectors;
mod container;
mod deployment;
mod distribution_config;
mod docker;
mod exchange;
mod interrupted;
mod measured;
mod messages;
mod notifications;
mod object_store;
mod peer;
mod peer_bucket;
mod podman;
mod proxy;
mod redis;
mod referrers_exchange;
mod replica_faults;
mod replicas;
mod request_budget;
mod same;
mod skopeo;
mod store_faults;
mod stored_manifests;
pub(crate) mod support;
mod tls;
mod token_auth;
mod trust;
