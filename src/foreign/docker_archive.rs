//! The images of a docker archive (docker, `image/tarexport`): `manifest.json` with paths of configurations and layers.
//!
//! Such an archive has no manifest, and so not the digest that the image had in a registry. One is made here from what the
//! archive has, always the same, with the layers as they are.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;
use sampan_engine::oci::{Digest, media_type};
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::entry_name::{EntryName, Meaning};
use crate::error::SHOWN;
use crate::extent::Extent;
use crate::image_name::{HostPolicy, ImageName};
use crate::layer::{Layer, inspect};
use crate::listing::{ListedImage, Naming};
use crate::walk::MAX_MANIFEST_BYTES;
use crate::{Error, Result};

/// The images, and their content with the manifests that were made.
#[derive(Debug, Default)]
pub(crate) struct DockerImages {
    pub(crate) listed: Vec<ListedImage>,
    pub(crate) extents: HashMap<Digest, Extent>,
    /// By the names of their entries, and the digests that configurations give them.
    layers: HashMap<(Box<str>, Digest), Layer>,
    missing: HashSet<String>,
    first_missing: Vec<String>,
    hosts: HostPolicy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// A configuration that was read, which many images may have.
struct ImageConfig {
    extent: Extent,
    digest: Digest,
    /// The digests of the uncompressed layers.
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeManifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: MadeDescriptor<'a>,
    layers: Vec<MadeDescriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeDescriptor<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
}

impl DockerImages {
    /// Reads the images that the document `manifest.json` lists.
    ///
    /// # Errors
    ///
    /// `Missing` when configurations or layers are not there; `Damaged` when the documents contradict each other; when the
    /// archive cannot be read.
    pub(crate) fn read(archive: &Archive, manifest_json: &[u8], hosts: HostPolicy) -> Result<Self> {
        let items: Vec<Item> = serde_json::from_slice(manifest_json)
            .map_err(|error| Error::damaged(EntryName::Manifest, error.to_string()))?;
        let mut images = Self { hosts, ..Self::default() };
        let mut configs: HashMap<Box<str>, Rc<ImageConfig>> = HashMap::new();
        let mut read = Vec::new();
        for item in &items {
            let Some(extent) = images.find(archive, &item.config)? else { continue };
            let config = match configs.get(&extent.entry) {
                Some(known) => known.clone(),
                None => Rc::new(ImageConfig::read(extent)?),
            };
            config.check_layers(item)?;
            configs.entry(config.extent.entry.clone()).or_insert_with(|| config.clone());
            read.push((item, config));
        }
        // A layer of several images is a file once, and a link elsewhere, which nothing follows.
        let mut files: HashMap<&Digest, Extent> = HashMap::new();
        for (item, config) in &read {
            for (path, diff_id) in item.layers.iter().flatten().zip(&config.diff_ids) {
                if let Some(extent) = archive.find(&name_of(path)?)? {
                    files.entry(diff_id).or_insert(extent);
                }
            }
        }
        for (item, config) in &read {
            images.add(archive, item, config, &files)?;
        }
        match images.missing.len() {
            0 => Ok(images),
            count => Err(Error::Missing { count, first: images.first_missing }),
        }
    }

    fn find(&mut self, archive: &Archive, path: &str) -> Result<Option<Extent>> {
        let found = archive.find(&name_of(path)?)?;
        if found.is_none() {
            self.miss(path);
        }
        Ok(found)
    }

    fn miss(&mut self, path: &str) {
        if self.missing.insert(path.to_owned()) && self.first_missing.len() < SHOWN {
            self.first_missing.push(path.to_owned());
        }
    }

    fn add(
        &mut self,
        archive: &Archive,
        item: &Item,
        config: &ImageConfig,
        files: &HashMap<&Digest, Extent>,
    ) -> Result<()> {
        let mut layers = Vec::new();
        for (path, diff_id) in item.layers.iter().flatten().zip(&config.diff_ids) {
            let extent = archive.find(&name_of(path)?)?.or_else(|| files.get(diff_id).cloned());
            let Some(extent) = extent else {
                self.miss(path);
                continue;
            };
            let key = (extent.entry.clone(), diff_id.clone());
            let layer = match self.layers.get(&key) {
                Some(layer) => layer.clone(),
                None => inspect(&extent, diff_id)?,
            };
            self.layers.insert(key, layer.clone());
            layers.push(MadeDescriptor {
                media_type: layer.media_type,
                digest: layer.digest.clone(),
                size: extent.size_bytes,
            });
            self.extents.entry(layer.digest).or_insert(extent);
        }
        let manifest = MadeManifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST,
            config: MadeDescriptor {
                media_type: media_type::OCI_IMAGE_CONFIG,
                digest: config.digest.clone(),
                size: config.extent.size_bytes,
            },
            layers,
        };
        self.extents.entry(config.digest.clone()).or_insert_with(|| config.extent.clone());
        #[expect(clippy::expect_used, reason = "texts, numbers and lists of them always serialize")]
        let manifest = serde_json::to_vec(&manifest).expect("invariant: the manifest has no maps");
        let manifest = Bytes::from(manifest);
        let digest = Digest::sha256_of(&manifest);
        self.extents.insert(digest.clone(), Extent::made(manifest, "a manifest that was made"));
        let names = item.repo_tags.iter().flatten();
        let name = |text: &String| ImageName::parse_docker(text, self.hosts).map(Naming::Full);
        // A name that no repository can have is asked for, like an absent one.
        let names: Vec<Naming> = names.map(|text| name(text).unwrap_or(Naming::Nothing)).collect();
        let names = if names.is_empty() { vec![Naming::Nothing] } else { names };
        self.listed.extend(names.into_iter().map(|naming| ListedImage { digest: digest.clone(), naming }));
        Ok(())
    }
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// `Damaged` when it is none; when the archive cannot be read.
    fn read(extent: Extent) -> Result<Self> {
        let bytes = extent.read_whole(MAX_MANIFEST_BYTES)?;
        let parsed: Config =
            serde_json::from_slice(&bytes).map_err(|error| extent.damaged(error.to_string()))?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        Ok(Self { digest: Digest::sha256_of(&bytes), extent, diff_ids })
    }

    /// Checks that an image has as many layers as its configuration.
    fn check_layers(&self, item: &Item) -> Result<()> {
        let (layers, expected) = (item.layers.as_ref().map_or(0, Vec::len), self.diff_ids.len());
        match layers == expected {
            true => Ok(()),
            false => Err(self
                .extent
                .damaged(format!("it has {expected} layers, and manifest.json names {layers} for it"))),
        }
    }
}

/// The name of an entry that `manifest.json` names.
fn name_of(path: &str) -> Result<EntryName> {
    match EntryName::parse(path.as_bytes()) {
        Ok(Meaning::Known(name)) if name.is_content() => Ok(name),
        _ => {
            let problem = format!("it names {path:?}, which is no path of a configuration or layer");
            Err(Error::damaged(EntryName::Manifest, problem))
        }
    }
}
