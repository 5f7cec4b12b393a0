//! Summaries of images: what a list shows of each, from the manifest and the configuration.
//!
//! A summary is derived from content that never changes, so a registry keeps it by repository and
//! digest: what an index has depends on the children that the repository links. Everything in it comes from the
//! client that pushed the image: the text may be wrong, and the work to read it is bounded.
//!
//! Deliberately absent: signatures and lists of materials, which [`Referrers`](crate::Referrers) knows.

mod config;
mod image_summary;
mod index;
mod outline;
mod summarize;
mod tally;

pub(crate) use image_summary::Summaries;
pub use image_summary::{Gap, ImageKind, ImageSummary};
pub(crate) use outline::SummaryLimits;
