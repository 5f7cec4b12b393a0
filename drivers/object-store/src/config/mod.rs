//! The sections `s3` (also `s3aws`), `gcs` and `azure` of the configuration file, with Distribution's keys.
//!
//! A key without a counterpart is refused with the reason, never accepted and ignored. Our own keys are the last ones of each
//! section.

mod azure;
mod clients;
mod endpoint;
mod gcs;
mod open;
mod profile;
mod s3;
mod values;

pub use azure::AzureConfig;
pub use gcs::GcsConfig;
pub use s3::{S3AwsConfig, S3Config};
