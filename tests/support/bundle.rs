//! Bundles of registries in this process, served again.

use std::path::PathBuf;
use std::sync::Arc;

use sampan_bundle::{Bundle, index_json, manifest_json};
use sampan_bundle_store::BundleStore;
use sampan_engine::{Limits, Registry};
use sampan_transfer::{ExportOptions, Exported, StoreSource, plan};
use tempfile::TempDir;

use super::{Server, Setup};

/// A bundle in a directory.
pub(crate) struct BundleFile {
    directory: TempDir,
}

impl BundleFile {
    /// Everything that a registry has.
    pub(crate) async fn of(registry: &Registry) -> Self {
        let source = StoreSource::new(registry.clone());
        let options = ExportOptions::of(vec!["**".parse().unwrap()], "near.example");
        let planned = plan(&source, &options).await.unwrap();
        let (index, manifest) = (index_json(&planned.plan), manifest_json(&planned.plan, &planned.docker));
        let bundle = Bundle::assemble(planned.plan, index, manifest, None).unwrap();
        let content = Exported::new(Arc::new(source), bundle.plan(), planned.places).unwrap();
        let mut bytes = Vec::new();
        bundle.write(0..bundle.layout().len_bytes(), &content, &mut bytes).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("b.tar"), bytes).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("b.tar")
    }

    pub(crate) async fn open(&self) -> BundleStore {
        BundleStore::open(&[self.path()]).await.unwrap()
    }

    /// A read-only registry over the bundle.
    pub(crate) async fn serve(&self) -> Server {
        let limits = Limits { read_only: true, ..Limits::default() };
        Server::with(Setup { driver: Arc::new(self.open().await), limits, ..Setup::default() })
    }
}
