//! Files as other tools write them, made in memory.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use bytes::BytesMut;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sampan_engine::oci::{Digest, media_type};
use sampan_foreign::{Error, ForeignOptions, ForeignReader, Input, OpenedFile, open};
use serde_json::{Value, json};
use tar::{EntryType, Header};
use tempfile::TempDir;

pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const NAME: &str = "io.containerd.image.name";
pub(crate) const REF: &str = "org.opencontainers.image.ref.name";

/// The files of an image layout or docker archive, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.insert(name.into(), content.into());
    }

    pub(crate) fn blob(&mut self, content: impl Into<Vec<u8>>) -> Digest {
        let content = content.into();
        let digest = Digest::sha256_of(&content);
        self.add(path(&digest), content);
        digest
    }

    pub(crate) fn size(&self, digest: &Digest) -> usize {
        self.0[&path(digest)].len()
    }

    fn descriptor(&self, media_type: &str, digest: &Digest) -> Value {
        json!({ "mediaType": media_type, "digest": digest, "size": self.size(digest) })
    }

    fn manifest(&mut self, manifest: &Value) -> Digest {
        self.blob(manifest.to_string())
    }

    /// Adds an image with these layers.
    pub(crate) fn image(&mut self, layers: &[&str]) -> Digest {
        let config = self.blob(json!({ "layers": layers }).to_string());
        let layers: Vec<Digest> = layers.iter().map(|layer| self.blob(*layer)).collect();
        let layers: Vec<Value> = layers.iter().map(|layer| self.descriptor(LAYER, layer)).collect();
        self.manifest(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": self.descriptor(media_type::OCI_IMAGE_CONFIG, &config),
            "layers": layers,
        }))
    }

    /// Adds an index of images for linux/amd64, linux/arm64, ….
    pub(crate) fn index(&mut self, children: &[Digest]) -> Digest {
        let children: Vec<Value> = children
            .iter()
            .zip(["amd64", "arm64", "s390x"])
            .map(|(child, architecture)| {
                let mut child = self.descriptor(media_type::OCI_MANIFEST, child);
                child["platform"] = json!({ "os": "linux", "architecture": architecture });
                child
            })
            .collect();
        self.manifest(
            &json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children }),
        )
    }

    /// Adds an index that does not say for which platforms its images are.
    pub(crate) fn index_without_platforms(&mut self, children: &[Digest]) -> Digest {
        let children = children.iter().map(|child| self.descriptor(media_type::OCI_MANIFEST, child));
        let children: Vec<Value> = children.collect();
        self.manifest(
            &json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children }),
        )
    }

    /// Adds an artifact that is attached to a manifest.
    pub(crate) fn referrer(&mut self, subject: &Digest, content: &str) -> Digest {
        let (empty, content) = (self.blob("{}"), self.blob(content));
        self.manifest(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": "application/vnd.example.sbom",
            "config": self.descriptor("application/vnd.oci.empty.v1+json", &empty),
            "layers": [self.descriptor("text/plain", &content)],
            "subject": self.descriptor(media_type::OCI_MANIFEST, subject),
        }))
    }

    /// Adds `oci-layout`, and a list of images with their annotations under `name`.
    pub(crate) fn list_in(&mut self, name: &str, images: &[(&Digest, &[(&str, &str)])]) {
        let images: Vec<Value> = images
            .iter()
            .map(|(digest, annotations)| {
                let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
                let size = self.0.get(&path(digest)).map_or(7, Vec::len);
                let media_type = media_type::OCI_MANIFEST;
                json!({ "mediaType": media_type, "digest": digest, "size": size, "annotations": annotations })
            })
            .collect();
        self.add("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        self.add(name, json!({ "schemaVersion": 2, "manifests": images }).to_string());
    }

    pub(crate) fn list(&mut self, images: &[(&Digest, &[(&str, &str)])]) {
        self.list_in("index.json", images);
    }

    /// A tar file of the files, in the order of their names.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut archive = Archive::default();
        for (name, content) in &self.0 {
            archive.file(name, content);
        }
        archive.end()
    }

    /// A directory with the files.
    pub(crate) fn directory(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in &self.0 {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        directory
    }
}

/// A tar file that is being made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive(pub(crate) Vec<u8>);

impl Archive {
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(EntryType::Regular, name, "", content);
    }

    pub(crate) fn entry(&mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) {
        let mut header = Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        if name.len() > field.len() {
            let mut long = name.as_bytes().to_vec();
            long.push(0);
            self.entry(EntryType::GNULongName, "././@LongLink", "", &long);
        }
        let field = &mut header.as_old_mut().name;
        let len = name.len().min(field.len());
        field[..len].copy_from_slice(&name.as_bytes()[..len]);
        header.set_link_name_literal(target).unwrap();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

pub(crate) fn stream(content: impl Into<Vec<u8>>) -> Input {
    Input::Stream(Box::new(Cursor::new(content.into())))
}

/// Opens an input that is a foreign one.
pub(crate) async fn foreign(input: Input, options: ForeignOptions) -> Result<ForeignReader, Error> {
    match open(input, options, |_| {}).await? {
        OpenedFile::Foreign(reader) => Ok(*reader),
        OpenedFile::Bundle(_) => panic!("it is no bundle"),
    }
}

/// Opens a tar file as a stream.
pub(crate) async fn foreign_tar(tar: impl Into<Vec<u8>>) -> Result<ForeignReader, Error> {
    foreign(stream(tar), ForeignOptions::default()).await
}

pub(crate) fn rules(rules: &[&str]) -> ForeignOptions {
    ForeignOptions {
        rules: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..ForeignOptions::default()
    }
}

/// The names of a plan with the digests of their images; an untagged one has the name of its repository.
pub(crate) fn names(reader: &ForeignReader) -> Vec<String> {
    let images = reader.plan().images().flat_map(|(repository, image)| {
        let tags = image.tags.iter().map(|tag| format!(":{tag}"));
        let tags: Vec<String> = if image.tags.is_empty() { vec![String::new()] } else { tags.collect() };
        tags.into_iter().map(|tag| format!("{}{tag} {}", repository.name, image.digest))
    });
    let mut names: Vec<String> = images.collect();
    names.sort();
    names
}

/// Checks that each content of the plan reads as the bytes with its digest, and returns their number.
pub(crate) async fn check_contents(reader: &ForeignReader) -> usize {
    for (index, content) in reader.plan().contents.iter().enumerate() {
        let stream = reader.content(index).await.unwrap();
        let bytes = stream.try_fold(BytesMut::new(), |mut all, bytes| async move {
            all.extend_from_slice(&bytes);
            Ok(all)
        });
        let bytes = bytes.await.unwrap();
        assert_eq!(bytes.len() as u64, content.size_bytes);
        assert_eq!(Digest::sha256_of(&bytes), content.digest);
        assert_eq!(reader.read_whole(index, 1 << 20).await.unwrap(), bytes);
    }
    reader.plan().contents.len()
}
