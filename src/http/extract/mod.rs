//! Extractors: they parse and authorize a request before its handler runs, or refuse it.

mod accept;
mod ask;
mod authorized;
mod cache_host;
mod conditional;
mod content_range;
mod located;
mod page;
mod params;
mod query;
mod range;
mod readers;
mod refusal;
mod scope;

pub(super) use accept::wants_single_manifest;
pub(super) use ask::issue;
pub(super) use authorized::{
    Authenticated, Authorized, AuthorizedCatalog, AuthorizedStart, MountSource, deleting, deletion, observed,
};
pub(super) use conditional::{if_none_match, if_range_allows};
pub(super) use content_range::chunk;
pub(super) use page::PageQuery;
pub(super) use params::{BlobDigest, FromPath, ManifestReference, NewReference};
pub(super) use query::Query;
pub(super) use range::{Ranges, ranges};
pub(super) use readers::Readers;
pub(super) use scope::{Delete, Pull, Push};
