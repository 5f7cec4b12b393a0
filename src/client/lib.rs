//! The client's side of the OCI distribution API: login, redirects, retries, verified and resumed transfers.
//!
//! A caller parses a [`RegistryAddress`], opens a [`RegistryClient`] with [`ClientOptions`], and takes a
//! [`RepositoryClient`] from it for each repository. All of these are cheap to clone.
//!
//! Invariants:
//!
//! - a manifest or blob that this crate returns has the digest that the caller asked for: a [`BlobStream`] ends without an
//!   error only after the comparison;
//! - credentials go to the registry, and to a token server that [`ClientOptions::trusted_realms`] or the rule of
//!   `auth::realm` accepts; never along a redirect to another origin, into a log, or into an error;
//! - every header, document, list and wait that a server determines has a bound ([`Limits`], [`Timeouts`], [`RetryPolicy`]);
//! - text from a server appears in errors with control characters removed, and cut.
//!
//! Absent on purpose: stores, printing, prompts, and the choice of images.

mod address;
mod auth;
mod blob_stream;
mod blobs;
mod catalog;
mod clock;
mod connection;
mod credentials;
mod error;
mod fallback_tag;
mod hasher;
pub mod http_client;
mod image_name;
mod limits;
mod manifests;
mod options;
mod pages;
mod rate_limit;
mod referrers;
mod registry;
mod repository;
mod retry;
mod tags;
mod transport;
mod upload;

pub use address::{InvalidAddress, RegistryAddress};
pub use blob_stream::BlobStream;
pub use blobs::BlobInfo;
pub use clock::Clock;
pub use credentials::{Credential, CredentialError, Credentials, Secret};
pub use error::{ClientError, Problem, ServerAnswer};
pub use image_name::{ImageName, InvalidImageName};
pub use limits::Limits;
pub use manifests::{ManifestInfo, PutManifest, RemoteManifest};
pub use options::{ClientOptions, PlainHttp, Timeouts, TlsOptions, Verification};
pub use rate_limit::RateLimit;
pub use referrers::Referrer;
pub use registry::RegistryClient;
pub use repository::RepositoryClient;
pub use retry::RetryPolicy;
pub use upload::{BlobSource, ByteStream, BytesSource, ChunkedUpload, FileSource, Pushed, RemoteSource};
