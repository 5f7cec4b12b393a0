//! `Client`: one of the stores of the `object_store` crate, with the traits that it implements.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::azure::MicrosoftAzure;
use object_store::gcp::GoogleCloudStorage;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::signer::Signer;
use object_store::{ObjectMeta, ObjectStore, Result};

/// A store without paging and signatures, such as `object_store::memory::InMemory`.
pub trait PlainStore: ObjectStore + MultipartStore {}

impl<S: ObjectStore + MultipartStore> PlainStore for S {}

/// A store and its abilities.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Azure(MicrosoftAzure),
    Gcs(GoogleCloudStorage),
    Plain(Arc<dyn PlainStore>),
    S3(AmazonS3),
}

impl Client {
    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        match self {
            Self::Azure(store) => store,
            Self::Gcs(store) => store,
            Self::Plain(store) => store.as_ref(),
            Self::S3(store) => store,
        }
    }

    pub(crate) fn multipart(&self) -> &dyn MultipartStore {
        match self {
            Self::Azure(store) => store,
            Self::Gcs(store) => store,
            Self::Plain(store) => store.as_ref(),
            Self::S3(store) => store,
        }
    }

    pub(crate) fn signer(&self) -> Option<&dyn Signer> {
        match self {
            Self::Azure(store) => Some(store),
            Self::Gcs(store) => Some(store),
            Self::Plain(_) => None,
            Self::S3(store) => Some(store),
        }
    }

    /// A page of a listing, in byte order of the keys.
    pub(crate) async fn page(&self, request: PageRequest<'_>) -> Result<Page> {
        let store: &dyn PaginatedListStore = match self {
            Self::Azure(store) => store,
            Self::Gcs(store) => store,
            Self::Plain(store) => return plain_page(store.as_ref(), request).await,
            Self::S3(store) => store,
        };
        let options = PaginatedListOptions {
            // A token says where to continue; some stores cannot handle both.
            offset: request.after.filter(|_| request.token.is_none()).map(str::to_owned),
            delimiter: request.delimited.then_some("/".into()),
            max_keys: Some(request.limit),
            page_token: request.token.map(str::to_owned),
            ..Default::default()
        };
        let prefix = (!request.prefix.is_empty()).then_some(request.prefix);
        let answer = store.list_paginated(prefix, options).await?;
        Ok(Page {
            objects: answer.result.objects,
            prefixes: answer.result.common_prefixes.into_iter().map(String::from).collect(),
            next: answer.page_token,
        })
    }
}

/// A request for a page of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRequest<'a> {
    /// The prefix of the keys; not cut at slashes.
    pub(crate) prefix: &'a str,
    /// The keys follow this one. A store may still return earlier ones.
    pub(crate) after: Option<&'a str>,
    /// Whether to shorten keys with a slash after the prefix to the part before that slash.
    pub(crate) delimited: bool,
    pub(crate) limit: usize,
    /// The token of the previous page.
    pub(crate) token: Option<&'a str>,
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<ObjectMeta>,
    /// Keys up to a slash, without the slash.
    pub(crate) prefixes: Vec<String>,
    /// The token of the next page, if there is one.
    pub(crate) next: Option<String>,
}

/// Cuts a page from a full listing: for stores small enough for that.
async fn plain_page(store: &dyn PlainStore, request: PageRequest<'_>) -> Result<Page> {
    let mut all: Vec<ObjectMeta> = store.list(None).try_collect().await?;
    all.sort_unstable_by(|a, b| a.location.as_ref().cmp(b.location.as_ref()));
    let mut page = Page { objects: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = request.token.or(request.after).map(str::to_owned);
    let mut count = 0;
    for object in all {
        let key = object.location.as_ref().to_owned();
        let Some(rest) = key.strip_prefix(request.prefix) else { continue };
        let group =
            request.delimited.then(|| rest.find('/')).flatten().map(|slash| request.prefix.len() + slash);
        let shown = group.map_or(key.as_str(), |end| &key[..=end]);
        if last.as_deref().is_some_and(|last| key.as_str() <= last || shown <= last) {
            continue;
        }
        if count == request.limit {
            page.next = last;
            return Ok(page);
        }
        count += 1;
        last = Some(shown.to_owned());
        match group {
            Some(end) => page.prefixes.push(key[..end].to_owned()),
            None => page.objects.push(object),
        }
    }
    Ok(page)
}
