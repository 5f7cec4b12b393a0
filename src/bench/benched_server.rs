//! `BenchedServer`: one of the servers, its set-up and its clean-up.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::{HeaderValue, Method};

use crate::auth::authorize;
use crate::client::Connection;
use crate::content::Blob;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::job::{Job, LeftContent, push_image};
use crate::material::{Material, REPOSITORIES};
use crate::options::{Kind, Options, Target};
use crate::process::Process;
use crate::registry::{Fetch, MANIFEST, PushMethod};
use crate::workload::Workload;

/// A server and the content that a run gave it.
pub(crate) struct BenchedServer {
    /// The address.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The kind of server.
    pub(crate) target: Target,
    /// Its process.
    pub(crate) process: Option<Process>,
    /// The content to remove at the end.
    left: Vec<(String, LeftContent)>,
    repository: String,
}

impl BenchedServer {
    /// Connects to the server, and finds its process.
    pub(crate) fn new(target: &Target, options: &Options) -> Result<Self> {
        Ok(Self {
            endpoint: Arc::new(Endpoint::resolve(&target.url, &target.tls)?),
            target: target.clone(),
            process: target.pid.map(Process::new).transpose()?,
            left: Vec::new(),
            repository: options.repository.clone(),
        })
    }

    /// The header of its requests from now on; fetches a new token.
    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>> {
        if self.target.kind != Kind::Registry {
            return Ok(None);
        }
        let mut scopes =
            vec![format!("repository:{}:pull,push,delete", self.repository), "registry:catalog:*".to_owned()];
        scopes.extend((1..=REPOSITORIES).map(|n| format!("repository:{}:pull,push,delete", self.further(n))));
        authorize(&self.endpoint, &self.target, &scopes).await
    }

    /// Pushes the material, and checks that it can be pulled unchanged.
    pub(crate) async fn prepare(&mut self, material: &Material) -> Result<()> {
        match self.target.kind.clone() {
            Kind::Registry => self.fill(material).await?,
            Kind::Files(directory) => self.write(&directory, material)?,
        }
        let mut connection = self.connection().await?;
        for blob in material.large.iter().chain(&material.small) {
            connection.verify(&self.blob(blob)).await?;
        }
        if self.target.kind == Kind::Registry {
            for image in &material.images {
                connection.verify(&self.manifest(Method::GET, &image.manifest, Name::Tag)).await?;
                connection.verify(&self.manifest(Method::HEAD, &image.manifest, Name::Digest)).await?;
                for blob in image.blobs() {
                    connection.verify(&self.blob(blob)).await?;
                }
            }
        }
        Ok(())
    }

    async fn fill(&mut self, material: &Material) -> Result<()> {
        let mut connection = self.connection().await?;
        let mut left = Vec::new();
        let filled = self.fill_over(&mut connection, material, &mut left).await;
        self.left.append(&mut left);
        filled
    }

    async fn fill_over(
        &self,
        connection: &mut Connection,
        material: &Material,
        left: &mut Vec<(String, LeftContent)>,
    ) -> Result<()> {
        for blob in material.large.iter().chain(&material.small) {
            left.push((self.repository.clone(), LeftContent::Blob(blob.digest.clone(), blob.size)));
            connection.push(&self.repository, blob, PushMethod::Monolithic).await?;
        }
        let further = match (material.repositories, material.images.first()) {
            (true, Some(image)) => (1..=REPOSITORIES).map(|n| (self.further(n), image)).collect(),
            _ => Vec::new(),
        };
        let images = material.images.iter().map(|image| (self.repository.clone(), image));
        for (repository, image) in images.chain(further) {
            let mut pushed = Vec::new();
            let outcome = push_image(connection, &repository, image, &mut pushed).await;
            left.extend(pushed.into_iter().map(|pushed| (repository.clone(), pushed)));
            outcome?;
        }
        Ok(())
    }

    /// A repository for the catalogue only.
    fn further(&self, number: usize) -> String {
        format!("{}-{number}", self.repository)
    }

    fn write(&self, directory: &Path, material: &Material) -> Result<()> {
        let directory = self.files(directory);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| Error::File { path, source }
        };
        fs::create_dir_all(&directory).map_err(failed(&directory))?;
        let manifests = material.images.iter().map(|image| &image.manifest);
        for blob in material.large.iter().chain(&material.small).chain(manifests) {
            let path = directory.join(blob.hex());
            let mut file = fs::File::create(&path).map_err(failed(&path))?;
            for piece in blob.pieces() {
                std::io::Write::write_all(&mut file, &piece).map_err(failed(&path))?;
            }
            file.sync_all().map_err(failed(&path))?;
        }
        Ok(())
    }

    fn files(&self, directory: &Path) -> PathBuf {
        directory.join(self.repository.replace('/', "-"))
    }

    /// A connection for set-up and clean-up.
    async fn connection(&self) -> Result<Connection> {
        Connection::open(self.endpoint.clone(), self.authorization().await?).await
    }

    /// Records content for removal.
    pub(crate) fn remember(&mut self, left: Vec<LeftContent>) {
        self.left.extend(left.into_iter().map(|left| (self.repository.clone(), left)));
    }

    /// The job of the work for this server.
    pub(crate) fn job(&self, work: Workload, material: &Material) -> Job {
        let repository = || self.repository.clone();
        let each = |fetches: Vec<Fetch>| fetches.into_iter().map(|fetch| vec![fetch]).collect();
        let blobs = |blobs: &[Blob]| each(blobs.iter().map(|blob| self.blob(blob)).collect());
        let manifests = |method: Method, name: Name| {
            let all = material.images.iter();
            each(all.map(|image| self.manifest(method.clone(), &image.manifest, name)).collect())
        };
        let fetch = |operations: Vec<Vec<Fetch>>| match (work.reads_blobs(), &self.target.cold) {
            (true, Some(_)) => Job::FetchOnce(operations, AtomicU64::new(0)),
            _ => Job::Fetch(operations),
        };
        let push = |how| Job::Push { repository: repository(), source: material.large_source.clone(), how };
        match work {
            Workload::PushMonolithic => push(PushMethod::Monolithic),
            Workload::PushStreamed => push(PushMethod::Streamed),
            Workload::PushChunked => push(PushMethod::Chunked),
            Workload::PushSmall => Job::Push {
                repository: repository(),
                source: material.small_source.clone(),
                how: PushMethod::Monolithic,
            },
            Workload::PushImage => {
                Job::PushImage { repository: repository(), layers: material.layer_source.clone() }
            }
            Workload::PullLarge => fetch(blobs(&material.large)),
            Workload::PullSmall => fetch(blobs(&material.small)),
            Workload::PullImage => {
                let images = material.images.iter();
                fetch(
                    images
                        .map(|image| {
                            let manifest = self.manifest(Method::GET, &image.manifest, Name::Tag);
                            std::iter::once(manifest)
                                .chain(image.blobs().map(|blob| self.blob(blob)))
                                .collect()
                        })
                        .collect(),
                )
            }
            Workload::ManifestGetTag => fetch(manifests(Method::GET, Name::Tag)),
            Workload::ManifestGetDigest => fetch(manifests(Method::GET, Name::Digest)),
            Workload::ManifestHeadTag => fetch(manifests(Method::HEAD, Name::Tag)),
            Workload::ManifestHeadDigest => fetch(manifests(Method::HEAD, Name::Digest)),
            Workload::TagsList => fetch(vec![vec![self.list(&format!("{}/tags/list", self.repository))]]),
            Workload::Catalog => fetch(vec![vec![self.list("_catalog?n=100")]]),
            Workload::Mixed => Job::Mixed {
                jobs: [
                    Workload::ManifestGetTag,
                    Workload::ManifestHeadTag,
                    Workload::ManifestGetDigest,
                    Workload::PullSmall,
                    Workload::TagsList,
                    Workload::PushSmall,
                ]
                .map(|work| self.job(work, material))
                .into(),
                turns: [0, 3, 1, 0, 3, 2, 4, 0, 3, 1, 0, 3, 5, 0, 3, 1, 2, 4, 0, 3],
            },
        }
    }

    fn blob(&self, blob: &Blob) -> Fetch {
        let path = match &self.target.kind {
            Kind::Registry => {
                format!("{}/v2/{}/blobs/{}", self.endpoint.prefix, self.repository, blob.digest)
            }
            Kind::Files(_) => self.file(blob),
        };
        let expected = Some((blob.size, blob.digest.clone()));
        Fetch { method: Method::GET, path, accept: None, expected }
    }

    fn manifest(&self, method: Method, manifest: &Blob, name: Name) -> Fetch {
        let reference = match name {
            Name::Tag => &manifest.hex()[..16],
            Name::Digest => &manifest.digest,
        };
        let path = match &self.target.kind {
            Kind::Registry => {
                format!("{}/v2/{}/manifests/{reference}", self.endpoint.prefix, self.repository)
            }
            Kind::Files(_) => self.file(manifest),
        };
        let expected = Some((manifest.size, manifest.digest.clone()));
        Fetch { method, path, accept: Some(MANIFEST), expected }
    }

    fn file(&self, blob: &Blob) -> String {
        format!("{}/{}/{}", self.endpoint.prefix, self.repository.replace('/', "-"), blob.hex())
    }

    fn list(&self, rest: &str) -> Fetch {
        let path = format!("{}/v2/{rest}", self.endpoint.prefix);
        Fetch { method: Method::GET, path, accept: None, expected: None }
    }

    /// Removes the run's content, as far as the server permits; reports the rest.
    pub(crate) async fn clean_up(&mut self) -> Result<Option<String>> {
        if let Kind::Files(directory) = &self.target.kind {
            let path = self.files(directory);
            return match fs::remove_dir_all(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::File { path, source })
                }
                _ => Ok(None),
            };
        }
        let bytes: u64 = self.left.iter().map(|(_, left)| left.size()).sum();
        if self.left.is_empty() {
            return Ok(None);
        }
        let mut connection = self.connection().await?;
        // Manifests were pushed last, so they are removed first.
        for (repository, left) in self.left.drain(..).rev() {
            let kind = match &left {
                LeftContent::Blob(..) => "blobs",
                LeftContent::Manifest(_) => "manifests",
            };
            let path = format!("{}/v2/{repository}/{kind}/{}", self.endpoint.prefix, left.digest());
            if !connection.delete(&path).await? {
                return Ok(Some(format!(
                    "{} does not delete: {} in {}* stays, with all tags",
                    self.endpoint.host,
                    mib(bytes),
                    self.repository
                )));
            }
        }
        Ok(Some(format!(
            "{}: everything was deleted again; the {} in {}* are freed by the registry's next garbage collection",
            self.endpoint.host,
            mib(bytes),
            self.repository
        )))
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[derive(Clone, Copy)]
enum Name {
    Tag,
    Digest,
}

impl LeftContent {
    fn digest(&self) -> &str {
        match self {
            Self::Blob(digest, _) | Self::Manifest(digest) => digest,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Blob(_, size) => *size,
            Self::Manifest(_) => 0,
        }
    }
}
