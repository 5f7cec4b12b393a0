//! `StoreBackend`: the storage of the registry, with direct access to its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sampan_driver::{DriverConfig, DriverPath, StorageDriver};
use sampan_driver_object_store::S3Config;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::clients::support::{FlakyProxy, StoreServer, filesystem_config};
use crate::support::StoreFiles;

/// A directory, or a bucket.
pub(super) enum StoreBackend {
    Directory(PathBuf),
    Bucket(Bucket),
}

/// A bucket, and a driver of the test's own over it.
pub(super) struct Bucket {
    config: String,
    driver: Arc<dyn StorageDriver>,
    runtime: Runtime,
    /// A proxy between each replica and the store, if there is any.
    lines: Vec<FlakyProxy>,
    store: StoreServer,
}

impl Bucket {
    /// A key prefix in Ceph for this test alone.
    #[track_caller]
    pub(super) fn on_ceph() -> Self {
        let store = StoreServer::ceph();
        let mut section = Value::Null;
        let config = store.config(&format!("chaos-{:016x}", rand::random::<u64>()), |config| {
            config["chunksize"] = (5 << 20).into();
            section = config.clone();
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let opened = serde_json::from_value::<S3Config>(section).unwrap().build();
        let driver = runtime.block_on(opened).unwrap();
        Self { config, driver, runtime, lines: Vec::new(), store }
    }

    /// The same behind a proxy for each of `replicas`, with random faults.
    #[track_caller]
    pub(super) fn on_ceph_in_a_storm(replicas: usize, seed: u64, per_mille: u32) -> Self {
        let mut bucket = Self::on_ceph();
        for replica in 0..replicas {
            let line = FlakyProxy::to(bucket.store.text("regionendpoint"));
            line.storm(StdRng::seed_from_u64(seed.wrapping_add(1000 + replica as u64)), per_mille);
            bucket.lines.push(line);
        }
        bucket
    }
}

impl StoreBackend {
    /// The age at which unreferenced content is garbage. A bucket has times in whole seconds, and every operation takes longer
    /// there.
    pub(super) fn grace(&self) -> Duration {
        match self {
            Self::Directory(_) => Duration::from_secs(2),
            Self::Bucket(_) => Duration::from_secs(6),
        }
    }

    /// The size of the largest layer in bytes: in a bucket more than a part.
    pub(super) fn largest_layer(&self) -> usize {
        match self {
            Self::Directory(_) => 30_000,
            Self::Bucket(_) => 6_000_000,
        }
    }

    /// Whether requests to the store meet faults.
    pub(super) fn is_stormy(&self) -> bool {
        matches!(self, Self::Bucket(bucket) if !bucket.lines.is_empty())
    }

    /// Ends the faults.
    pub(super) fn calm(&self) {
        if let Self::Bucket(bucket) = self {
            bucket.lines.iter().for_each(|line| _ = line.heal());
        }
    }

    /// The configuration of a replica, behind its proxy if there is one.
    pub(super) fn config_of(&self, replica: usize) -> String {
        let config = self.config();
        match self {
            Self::Bucket(bucket) if !bucket.lines.is_empty() => {
                let line = format!("http://{}", bucket.lines[replica].address);
                config.replace(bucket.store.text("regionendpoint"), &line)
            }
            _ => config,
        }
    }

    pub(super) fn config(&self) -> String {
        match self {
            Self::Directory(root) => filesystem_config(root),
            Self::Bucket(bucket) => bucket.config.clone(),
        }
    }

    pub(super) fn read(&self, entry: &Entry) -> Option<Vec<u8>> {
        match self {
            Self::Directory(root) => fs::read(StoreFiles::new(root).path(entry)).ok(),
            Self::Bucket(bucket) => {
                let content = bucket.runtime.block_on(bucket.driver.get_content(&entry.path()));
                content.ok().map(|content| content.to_vec())
            }
        }
    }

    pub(super) fn remove(&self, entry: &Entry) {
        match self {
            // Its collector may remove it as well.
            Self::Directory(root) => drop(fs::remove_file(StoreFiles::new(root).path(entry))),
            Self::Bucket(bucket) => bucket.runtime.block_on(bucket.driver.delete(&entry.path())).unwrap(),
        }
    }

    /// The digests of all data.
    pub(super) fn data(&self) -> BTreeSet<Digest> {
        match self {
            Self::Directory(root) => StoreFiles::new(root).data(),
            Self::Bucket(bucket) => {
                let data = |path: DriverPath| match Entry::parse(&path) {
                    Some(Entry::Blob(digest)) => Some(digest),
                    _ => None,
                };
                bucket.walk().into_iter().filter_map(data).collect()
            }
        }
    }

    /// The paths of all files.
    pub(super) fn files(&self) -> Vec<String> {
        match self {
            Self::Directory(root) => StoreFiles::new(root).files(),
            Self::Bucket(bucket) => bucket.walk().iter().map(ToString::to_string).collect(),
        }
    }
}

impl Bucket {
    fn walk(&self) -> Vec<DriverPath> {
        let paths = self.driver.walk(&DriverPath::root(), None).map_ok(|info| info.path);
        self.runtime.block_on(paths.try_collect()).unwrap()
    }
}
