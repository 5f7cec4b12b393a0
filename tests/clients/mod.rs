//! Compatibility with real tools: real clients against the built binary.
//!
//! Each test is ignored unless asked for (`cargo test --test it -- --ignored clients`), since it needs programs that a
//! developer's machine may lack. `.ci/run` installs them and runs all; there, a missing program is a failure.

mod access;
mod azure_copies;
mod bench_others;
mod big_blob;
mod bundles;
mod bundles_to_distribution;
mod cache;
mod chaos;
mod client_tls;
mod collectors;
mod container;
mod crane;
mod deployment;
mod distribution_config;
mod distribution_parity;
mod distribution_roundtrip;
mod docker;
mod extra;
mod foreign_files;
mod interrupted;
mod journey;
mod live_reload;
mod messages;
mod migration;
mod notifications;
mod object_store;
mod oras;
mod peer_bucket;
mod podman;
mod proxy;
mod read_only_media;
mod redis;
mod referrers_exchange;
mod regctl;
mod registry_client;
mod removed_tags;
mod replica_faults;
mod replicas;
mod request_budget;
mod skopeo;
mod store_faults;
mod stored_manifests;
pub(crate) mod support;
mod tls;
mod token_auth;
mod walk;
