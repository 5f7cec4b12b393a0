//! Learns which manifests refer to which content, by a walk of its own.

use tokio_util::sync::CancellationToken;

use super::Result;
use super::context::Context;
use super::graph::{ReadOptions, ReferenceGraph};
use super::interner::Id;
use super::options::Options;
use crate::Registry;
use crate::layer_users::{LayerUsers, LayerUsersBuilder};

/// Walks over the store and reads the manifests that `before` does not know. Nothing is written.
///
/// `rest` are the seconds of rest for every second of work; `stop` ends the walk with [`Stopped`](super::Error::Stopped).
///
/// # Errors
///
/// Any error of the store; `Unseen` where a part of it cannot be seen.
pub async fn layer_users(
    registry: &Registry,
    rest: f32,
    stop: &CancellationToken,
    before: Option<&LayerUsers>,
) -> Result<LayerUsers> {
    let options = Options { rest, stop: stop.clone(), ..Options::default() };
    let as_of = registry.clock().now();
    let mut cx = Context::looking(registry, &options);
    let mut inventory = cx.walk_everything().await?;
    let mut data = std::mem::take(&mut inventory.data);
    let mut graph = ReferenceGraph::default();
    for (manifest, references) in before.into_iter().flat_map(LayerUsers::manifests) {
        let references = references.into_iter().map(|hash| cx.ids.intern_hash(hash)).collect();
        graph.know(cx.ids.intern_hash(manifest), references);
    }
    let how = ReadOptions { concurrency: cx.concurrency(), parallelism: cx.parallelism() };
    let driver = cx.driver();
    graph.read(driver, &inventory, &mut data, &mut cx.ids, how, &mut cx.pacer).await?;

    let mut repositories: Vec<_> = inventory.repositories.iter().collect();
    repositories.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let mut users = LayerUsersBuilder::default();
    for contents in repositories {
        users.begin(&contents.name);
        let manifests = contents.revisions.iter().map(|link| link.id);
        let mut manifests: Vec<Id> = manifests.filter(|id| data.is_there(*id)).collect();
        manifests.sort_unstable_by_key(|id| *cx.ids.hash(*id));
        for id in manifests {
            let Some(references) = graph.parsed(id) else { continue };
            // A digest of another algorithm is rare, and means nothing outside its repository.
            let references = references.iter().filter(|id| !id.is_alias());
            let references: Vec<u32> = references.map(|id| id.index() as u32).collect();
            users.add(cx.ids.hash(id), &references);
        }
    }
    Ok(users.build(as_of, |index| *cx.ids.hash(Id::of_index(index))))
}
