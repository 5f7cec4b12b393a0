//! The HTTP API from outside: one file per row of the endpoint table, and some for rules of all endpoints.

mod access;
mod access_log;
mod authorization;
mod base;
mod blob_ranges;
mod blobs;
mod bundles;
mod catalog;
mod deletions;
mod durable_deletions;
mod failures;
mod health;
mod layer_urls;
mod malformed;
mod manifest_push;
mod manifests;
mod names;
mod page;
mod pushed_digests;
mod referrers;
mod stored_manifests;
mod tags;
mod unread_documents;
mod upload_limits;
mod upload_session;
mod upload_start;
