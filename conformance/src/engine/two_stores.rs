//! `Stores`: a store that is copied, and its copy, with what clauses of migration put into them.

use std::sync::Arc;

use sampan_driver::StorageDriver;
use sampan_engine::Selection;
use sampan_engine::migrate::{Error, Finish, Migration, Options, Pass};
use sampan_engine::oci::{Algorithm, Digest};

use super::client::{Client, Image, index, tag};
use super::store::is_valid;
use crate::Failed;
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::data::bytes;

/// A store that is copied, and the one that it is copied to.
pub(super) struct Stores {
    pub(super) source: Arc<dyn StorageDriver>,
    pub(super) target: Arc<dyn StorageDriver>,
}

impl Stores {
    pub(super) fn of(driver: &Arc<dyn StorageDriver>) -> Self {
        Self { source: Below::at(driver, "/source"), target: Below::at(driver, "/target") }
    }

    pub(super) async fn migration(&self, options: Options) -> Result<Migration, Error> {
        Migration::begin(self.source.clone(), self.target.clone(), "the source", options).await
    }

    pub(super) async fn pass(&self) -> Result<Pass, Error> {
        self.migration(Options::default()).await?.pass().await
    }

    pub(super) async fn finish(&self) -> Result<Finish, Error> {
        self.migration(Options::default()).await?.finish().await
    }

    pub(super) fn clients(&self) -> (Client, Client) {
        (Client::new(&self.source), Client::new(&self.target))
    }
}

pub(super) fn only(repository: &'static str) -> Options {
    Options { selection: Selection::new(move |name| name.as_str() == repository), ..Options::default() }
}

/// Images, an index, an artifact, another algorithm, and a layer in parts.
pub(super) async fn fill(client: &Client) -> Result<(), Failed> {
    client.put_image("image", &Image::new(1), "one").await?;
    client.put_image("image", &Image::new(2), "two").await?;
    client.push_manifest("image", &index(&[&Image::new(1), &Image::new(2)]), tag("all"), &[]).await?;
    client.attach("image", "application/vnd.example.signature", &Image::new(1).manifest).await?;
    client.put_image("image/below", &Image::new(1), "one").await?;
    let large = bytes(9, 150_000);
    client.put_blob("large", &large, &Digest::of(Algorithm::Sha512, &large)).await?;
    let alias = Digest::of(Algorithm::Sha512, &Image::new(1).manifest);
    client.push_manifest("image", &Image::new(1).manifest, alias, &["by-alias"]).await?;
    Ok(())
}

/// Checks that every image of [`fill`] can be pulled.
pub(super) async fn pulls_all(client: &Client) -> Result<(), Failed> {
    client.pulls("image", &Image::new(1), tag("one")).await?;
    client.pulls("image", &Image::new(1), tag("by-alias")).await?;
    client.pulls("image", &Image::new(2), tag("two")).await?;
    client.pulls("image/below", &Image::new(1), tag("one")).await?;
    client.repository("image").manifests().get(&tag("all").into()).await?;
    let large = bytes(9, 150_000);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        client.pull_blob("large", &Digest::of(algorithm, &large)).await?;
    }
    equal(client.referrers("image", &Image::new(1).digest()).await?.len(), 1, "the number of referrers")
}

/// Checks that both stores are equal, and the copy is valid.
pub(super) async fn is_complete(stores: &Stores, finish: &Finish) -> Result<(), Failed> {
    equal(&finish.comparison.differences.items, &Vec::new(), "the differences")?;
    equal(finish.comparison.source, finish.comparison.target, "what both stores hold")?;
    ensure(finish.pass.is_whole(), "something could not be copied")?;
    is_valid(&stores.target).await
}
