//! The data directory of a registry in a tar file: Distribution's layout, which is ours, and which oc-mirror's archives have.
//!
//! Tags and manifests are found by their links, and content by its digest. A later archive of oc-mirror leaves out what an
//! earlier one had: blobs, and images of an index that have a link. That is presumed: the target must have it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use sampan_bundle::{ContentKind, Presumed};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Manifest, RepositoryName, Tag};

use crate::archive::Archive;
use crate::entry_name::EntryName;
use crate::error::SHOWN;
use crate::extent::Extent;
use crate::image_name::ImageName;
use crate::listing::{ListedImage, Naming};
use crate::reader::Notice;
use crate::unreadable::{UnreadableImages, UnreadablePolicy};
use crate::walk::{MAX_MANIFEST_BYTES, MAX_REFERENCES, add_repository};
use crate::{Error, Result};

/// The longest link, in bytes: a digest, and perhaps a line feed.
const MAX_LINK_BYTES: u64 = 256;

/// A longer manifest is read once, however many repositories link it, in bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// The repositories of an archive.
pub(crate) struct DataDirectory<'a> {
    archive: &'a Archive,
    pub(crate) listed: Vec<ListedImage>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) unreadable: UnreadableImages,
    /// The sha256 digest of content that another algorithm names.
    aliases: HashMap<Digest, Digest>,
    /// The images of each long index that was read.
    children: HashMap<Digest, Rc<[Digest]>>,
    /// How many of them the repositories have together.
    references: u64,
}

/// The links of one repository.
#[derive(Default)]
struct Links {
    tags: BTreeSet<Tag>,
    revisions: BTreeSet<Digest>,
}

impl<'a> DataDirectory<'a> {
    /// Reads the links; `None` if the archive has none.
    ///
    /// # Errors
    ///
    /// `Damaged` when a link has no digest, or a file is not a manifest, and `policy` refuses that; when the file cannot be read.
    pub(crate) fn read(archive: &'a Archive, policy: UnreadablePolicy) -> Result<Option<Self>> {
        let mut directory = Self {
            archive,
            listed: Vec::new(),
            notices: Vec::new(),
            unreadable: UnreadableImages::new(policy),
            aliases: HashMap::new(),
            children: HashMap::new(),
            references: 0,
        };
        let mut repositories: BTreeMap<RepositoryName, Links> = BTreeMap::new();
        let mut alias_links = Vec::new();
        for entry in archive.store_entries() {
            match entry {
                Entry::TagCurrent(name, tag) => {
                    repositories.entry(name.clone()).or_default().tags.insert(tag.clone());
                }
                Entry::RevisionLink(name, digest) => {
                    repositories.entry(name.clone()).or_default().revisions.insert(digest.clone());
                    alias_links.extend((!digest.is_canonical()).then_some((digest, entry)));
                }
                Entry::LayerLink(_, digest) => alias_links.push((digest, entry)),
                _ => {}
            }
        }
        if repositories.is_empty() {
            return Ok(None);
        }
        alias_links.sort_unstable_by_key(|(_, entry)| entry.path());
        for (digest, entry) in alias_links {
            match directory.link(entry) {
                Ok(Some(canonical)) => _ = directory.aliases.insert(digest.clone(), canonical),
                Ok(None) => {}
                // An image that has the content under no other name is passed over when it is found to be absent.
                Err(error) => directory.unreadable.ignore(error)?,
            }
        }
        let mut absent = Vec::new();
        for (name, links) in repositories {
            directory.list(&name, &links, &mut absent)?;
        }
        if !absent.is_empty() {
            let (count, first) = (absent.len() as u64, absent.into_iter().take(SHOWN).collect());
            directory.notices.push(Notice::Absent { count, first });
        }
        Ok(Some(directory))
    }

    /// Lists the images of a repository: those with tags, then the manifests that no index of it has.
    fn list(&mut self, name: &RepositoryName, links: &Links, absent: &mut Vec<String>) -> Result<()> {
        let mut known = HashSet::new();
        for tag in &links.tags {
            let digest = match self.digest_of(name, tag) {
                Ok(Some(digest)) => digest,
                Ok(None) => continue,
                Err(error) => {
                    self.unreadable.add(name, Some(tag), None, error)?;
                    continue;
                }
            };
            match self.find(&digest)?.is_some() {
                true => {
                    known.insert(digest.clone());
                    let naming = Naming::Full(ImageName { repository: name.clone(), tag: Some(tag.clone()) });
                    self.listed.push(ListedImage { digest, naming });
                }
                false => absent.push(format!("{name}:{tag}")),
            }
        }
        // A manifest has a link under sha256 besides that of its alias.
        known.extend(links.revisions.iter().filter_map(|digest| self.aliases.get(digest).cloned()));
        for digest in &links.revisions {
            match self.children(digest) {
                Ok(children) => known.extend(children.iter().cloned()),
                // Its image is passed over when that is planned.
                Err(error) => self.unreadable.ignore(error)?,
            }
        }
        for digest in links.revisions.iter().filter(|digest| !known.contains(digest)) {
            if self.find(digest)?.is_some() {
                let naming = Naming::Full(ImageName { repository: name.clone(), tag: None });
                self.listed.push(ListedImage { digest: digest.clone(), naming });
            }
        }
        Ok(())
    }

    /// The digest that a tag refers to.
    fn digest_of(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        let pushed = self.link(&Entry::TagDigest(name.clone(), tag.clone()))?;
        let current = self.link(&Entry::TagCurrent(name.clone(), tag.clone()))?;
        // The digest of a push by another algorithm counts while it is that of the tag's content.
        let pushed = pushed.filter(|pushed| self.aliases.get(pushed) == current.as_ref());
        Ok(pushed.or(current))
    }

    /// The images of an index; none if the manifest is not there.
    fn children(&mut self, digest: &Digest) -> Result<Rc<[Digest]>> {
        let children = match self.children.get(digest) {
            Some(known) => known.clone(),
            None => self.read_children(digest)?,
        };
        self.references += children.len() as u64;
        match self.references {
            ..=MAX_REFERENCES => Ok(children),
            _ => {
                let problem = format!("the indexes of the file have more than {MAX_REFERENCES} references");
                Err(Error::damaged(digest, problem))
            }
        }
    }

    fn read_children(&mut self, digest: &Digest) -> Result<Rc<[Digest]>> {
        let Some(extent) = self.find(digest)? else { return Ok(Rc::default()) };
        let manifest = Manifest::parse(&extent.read_whole(MAX_MANIFEST_BYTES)?, None);
        let manifest = manifest.map_err(|problem| extent.damaged(format!("as a manifest, {problem}")))?;
        let children: Rc<[Digest]> = manifest.manifests.into_iter().map(|child| child.digest).collect();
        if extent.size_bytes > SMALL_BYTES {
            self.children.insert(digest.clone(), children.clone());
        }
        Ok(children)
    }

    /// The digest in a link; `None` if there is no such link.
    fn link(&self, entry: &Entry) -> Result<Option<Digest>> {
        let Some(link) = self.archive.find(&EntryName::Store(entry.clone()))? else { return Ok(None) };
        let bytes = link.read_whole(MAX_LINK_BYTES)?;
        let digest = str::from_utf8(&bytes).ok().and_then(|text| text.trim_ascii().parse().ok());
        digest.map(Some).ok_or_else(|| Error::damaged(&link.entry, "it has no digest, as a link must"))
    }

    /// Whether a repository has the link of a manifest, whose content an earlier archive may have.
    pub(crate) fn is_linked(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let link = Entry::RevisionLink(repository.clone(), digest.clone());
        self.archive.has(&EntryName::Store(link))
    }

    /// Adds the repositories that link presumed blobs, so that an earlier archive may have brought them there.
    pub(crate) fn add_seen(&self, presumed: &mut [Presumed]) {
        let blobs = presumed.iter().enumerate().filter(|(_, it)| it.kind == ContentKind::Blob);
        let places: HashMap<Digest, usize> = blobs.map(|(place, it)| (it.digest.clone(), place)).collect();
        if places.is_empty() {
            return;
        }
        let links = self.archive.store_entries().filter_map(|entry| match entry {
            Entry::LayerLink(repository, digest) => Some((repository, *places.get(digest)?)),
            _ => None,
        });
        let mut links: Vec<_> = links.collect();
        links.sort_unstable();
        for (repository, place) in links {
            add_repository(&mut presumed[place], repository);
        }
    }

    /// Content by its digest.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Extent>> {
        self.archive.blob(self.aliases.get(digest).unwrap_or(digest))
    }
}
