//! The requests of a first push, and of later ones, in sequence: for drivers that count the cost of each.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use sampan_driver::StorageDriver;
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{Body, Limits, MountOutcome, PutManifest, Registry, Repository, StartUpload};

use crate::Failed;
use crate::check::ensure;

/// Makes the requests of a push to an empty store, and calls `after` with the name of each.
pub async fn first_push(
    driver: Arc<dyn StorageDriver>,
    mut after: impl FnMut(&'static str),
) -> Result<(), Failed> {
    let registry = Registry::builder(driver).limits(Limits { delete: true, ..Limits::default() }).build();
    let app = registry.repository("team/app".parse()?);
    let begun = app.uploads().start(StartUpload::default()).await?;
    after("POST, first of the store");
    app.uploads().append(&begun.id, None, body(b"layer")).await?;
    after("PATCH");
    let layer = Digest::sha256_of(b"layer");
    app.uploads().finish(&begun.id, None, body(b""), &layer).await?;
    after("PUT blob, first of the store");
    let config = push(&app, b"{}").await?;
    after("POST and PUT blob, second of the repository");
    let manifest = manifest(&config, &layer);
    put(&app, &manifest, "v1", &[]).await?;
    after("PUT manifest, first of the repository");
    put(&app, &manifest, "v1", &[]).await?;
    after("PUT manifest, the same again");
    put(&app, &manifest, "v2", &[]).await?;
    after("PUT manifest, another tag");

    let other = registry.repository("team/other".parse()?);
    let mounted = other.blobs().mount(&layer, Some(&"team/app".parse()?)).await?;
    ensure(matches!(mounted, MountOutcome::Mounted(_)), "the layer was not mounted")?;
    after("mount, first of a repository");
    app.manifests().delete(&"v1".parse()?).await?;
    after("DELETE tag");
    app.manifests().delete(&Reference::Digest(Digest::sha256_of(&manifest))).await?;
    after("DELETE manifest with one tag");
    put(&app, &manifest, "v1", &["v2", "v3", "v4"]).await?;
    after("PUT manifest with three further tags");
    Ok(())
}

async fn push(repository: &Repository, content: &'static [u8]) -> Result<Digest, Failed> {
    let digest = Digest::sha256_of(content);
    let begun = repository.uploads().start(StartUpload::default()).await?;
    repository.uploads().finish(&begun.id, None, body(content), &digest).await?;
    Ok(digest)
}

async fn put(repository: &Repository, manifest: &Bytes, tag: &str, further: &[&str]) -> Result<(), Failed> {
    let put = PutManifest {
        bytes: manifest.clone(),
        media_type: None,
        reference: tag.parse()?,
        tags: further.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?,
        left_out: Vec::new(),
    };
    repository.manifests().put(put).await?;
    Ok(())
}

fn body(content: &'static [u8]) -> Body {
    futures::stream::iter([Ok(Bytes::from_static(content))]).boxed()
}

fn manifest(config: &Digest, layer: &Digest) -> Bytes {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},
        "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":5}}]}}"#
    );
    Bytes::from(text)
}
