//! `ForeignReader`: a foreign file as a plan with content that can be read in any order.

use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_bundle::Plan;
use sampan_engine::oci::{Digest, RepositoryName};

use crate::archive::Archive;
use crate::data_directory::DataDirectory;
use crate::docker_archive::DockerImages;
use crate::entry_name::EntryName;
use crate::extent::{ByteSource, Extent, OpenExtent};
use crate::image_name::HostPolicy;
use crate::plan::{Planned, plan};
use crate::skopeo_dir::SkopeoDir;
use crate::unreadable::{UnreadableImage, UnreadableImages, UnreadablePolicy};
use crate::walk::WhenMissing;
use crate::{Error, ForeignOptions, NameRule, Result, oci_layout};

/// How many bytes are read at a time.
const PIECE: usize = 1 << 20;

/// The images of a foreign file.
#[derive(Debug)]
pub struct ForeignReader {
    plan: Plan,
    /// By the index of the content in the plan.
    extents: Vec<Extent>,
    notices: Vec<Notice>,
    unreadable: Vec<UnreadableImage>,
}

/// A message for the user that is not an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// The input is decoded into a temporary file.
    Spooling {
        /// Its directory.
        directory: PathBuf,
    },
    /// The file is a docker archive, so the digests are not those of a registry.
    Remade,
    /// The file has a part of the platforms of an index.
    Partial {
        /// The name of the image.
        image: String,
        /// The platforms that are not there.
        absent: String,
    },
    /// Signatures and the like whose images the file does not have are passed over.
    Orphans {
        /// How many.
        count: u64,
    },
    /// Images whose manifests the file lacks are passed over: an earlier archive had them.
    Absent {
        /// How many.
        count: u64,
        /// The names of the first.
        first: Vec<String>,
    },
    /// Files that no image needs are passed over.
    Ignored {
        /// How many.
        count: u64,
    },
}

impl ForeignReader {
    /// Plans the images of an archive, which messages call `what`.
    pub(crate) fn over(archive: &Archive, options: &ForeignOptions, what: &str) -> Result<Self> {
        let mut planned = plan_of(archive, options, what)?;
        let is_in_file = |extent: &&Extent| !matches!(extent.medium, ByteSource::Memory(_));
        let used = planned.extents.iter().filter(is_in_file).count() as u64;
        let count = archive.file_count().saturating_sub(used);
        if count > 0 {
            planned.notices.push(Notice::Ignored { count });
        }
        let Planned { plan, extents, notices, unreadable } = planned;
        Ok(Self { plan, extents, notices, unreadable })
    }

    /// The plan. It has no files for other tools, so it cannot be written.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Messages for the user.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The images that were passed over since they cannot be read.
    pub fn unreadable(&self) -> &[UnreadableImage] {
        &self.unreadable
    }

    /// The bytes of the content with this index. They are not compared with the digest: the receiver does.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the stream fails when it ends early.
    pub async fn content(&self, index: usize) -> Result<BoxStream<'static, Result<Bytes>>> {
        let extent = self.extents[index].clone();
        let open = blocking(move || extent.open()).await?;
        Ok(stream::try_unfold(open, next_piece).boxed())
    }

    /// A content as a whole, compared with its digest.
    ///
    /// # Errors
    ///
    /// `Damaged` when it is longer than `max_bytes`, or has another digest; when it cannot be read.
    pub async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        let extent = self.extents[index].clone();
        let bytes = blocking(move || extent.read_whole(max_bytes)).await?;
        let digest = &self.plan.contents[index].digest;
        match Digest::of(digest.algorithm(), &bytes) {
            actual if actual == *digest => Ok(bytes),
            actual => Err(self.wrong_digest(index, &actual)),
        }
    }

    /// The error of content that hashes to `actual`.
    pub fn wrong_digest(&self, index: usize, actual: &Digest) -> Error {
        let digest = &self.plan.contents[index].digest;
        self.fault(index, format!("its content hashes to {actual}, and not to {digest}"))
    }

    /// An error of the content with this index.
    pub fn fault(&self, index: usize, problem: String) -> Error {
        let extent = &self.extents[index];
        let offset = matches!(extent.medium, ByteSource::Parts(_)).then_some(extent.offset);
        Error::Damaged { entry: extent.entry.to_string(), offset, problem }
    }
}

fn plan_of(archive: &Archive, options: &ForeignOptions, what: &str) -> Result<Planned> {
    let ForeignOptions { rules, hosts, unreadable } = options;
    let (hosts, refused) = (*hosts, UnreadableImages::new(UnreadablePolicy::Refuse));
    let has_index = archive.has(&EntryName::Index)?;
    if has_index && archive.has(&EntryName::OciLayout)? {
        return plan_layout(archive, rules, hosts);
    }
    if let Some(mut directory) = DataDirectory::read(archive, *unreadable)? {
        let unreadable = std::mem::replace(&mut directory.unreadable, refused);
        let find = |digest: &Digest| directory.find(digest);
        let is_linked =
            |repository: &RepositoryName, digest: &Digest| directory.is_linked(repository, digest);
        let lack = WhenMissing::Presume(&is_linked);
        let mut planned = plan(directory.listed.clone(), rules, lack, unreadable, &find)?;
        directory.add_seen(&mut planned.plan.presumed);
        planned.notices.extend(directory.notices);
        return Ok(planned);
    }
    let unrecognised = |why| Error::Unrecognised { what: what.to_owned(), why: Some(why) };
    let Some(manifest_json) = archive.document(&EntryName::Manifest, oci_layout::MAX_INDEX_BYTES)? else {
        return match has_index {
            true => plan_layout(archive, rules, hosts),
            false => Err(unrecognised("it has neither index.json nor manifest.json")),
        };
    };
    match (manifest_json.trim_ascii_start().first(), archive) {
        (Some(b'['), _) => {
            let images = DockerImages::read(archive, &manifest_json, hosts)?;
            let find = |digest: &Digest| Ok(images.extents.get(digest).cloned());
            let mut planned = plan(images.listed.clone(), rules, WhenMissing::Refuse, refused, &find)?;
            planned.notices.insert(0, Notice::Remade);
            Ok(planned)
        }
        (Some(b'{'), Archive::Directory(path)) => {
            let directory = SkopeoDir::new(path, &manifest_json);
            plan(directory.list(), rules, WhenMissing::Refuse, refused, &|digest| directory.find(digest))
        }
        _ => Err(unrecognised("its manifest.json is no list of images")),
    }
}

fn plan_layout(archive: &Archive, rules: &[NameRule], hosts: HostPolicy) -> Result<Planned> {
    let refused = UnreadableImages::new(UnreadablePolicy::Refuse);
    plan(oci_layout::list(archive, hosts)?, rules, WhenMissing::Refuse, refused, &|digest| {
        archive.blob(digest)
    })
}

async fn next_piece(mut open: OpenExtent) -> Result<Option<(Bytes, OpenExtent)>> {
    if open.left() == 0 {
        return Ok(None);
    }
    let next = move || {
        let mut piece = vec![0; PIECE.min(usize::try_from(open.left()).unwrap_or(PIECE))];
        let read = open.read(&mut piece)?;
        piece.truncate(read);
        Ok(Some((Bytes::from(piece), open)))
    };
    blocking(next).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Input(std::io::Error::other(error)))?
}
