//! Makes the plan of a bundle from the images that a foreign file lists.

use std::collections::HashMap;

use sampan_bundle::{
    LeftOut, MAX_PLAN_BYTES, Plan, PlanProblem, PlannedContent, PlannedImage, PlannedReferrer,
    PlannedRepository,
};
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::extent::Extent;
use crate::listing::{self, ListedImage, Naming};
use crate::reader::Notice;
use crate::referrers::Referrers;
use crate::unreadable::{UnreadableImage, UnreadableImages};
use crate::walk::{FindContent, ImageRepositories, MAX_PRESUMED_REPOSITORIES, Walked, Walker, WhenMissing};
use crate::{Error, NameRule, Result};

/// The least that a child that is left out takes in a plan, in bytes.
const MIN_LEFT_OUT_BYTES: u64 = 80;

/// A plan, and where its content is.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// By the index of the content in the plan.
    pub(crate) extents: Vec<Extent>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) unreadable: Vec<UnreadableImage>,
}

/// The common part of an image in all repositories that have it.
struct Root {
    media_type: String,
    left_out: Vec<LeftOut>,
    absent: Vec<String>,
    referrers: Vec<PlannedReferrer>,
}

/// Plans the images.
///
/// # Errors
///
/// `Missing` when the file lacks content; `Unnamed` when images have no name; `Damaged` when it contradicts itself; when it
/// cannot be read.
pub(crate) fn plan(
    mut listed: Vec<ListedImage>,
    rules: &[NameRule],
    lack: WhenMissing<'_>,
    mut unreadable: UnreadableImages,
    find: &FindContent<'_>,
) -> Result<Planned> {
    if listed.is_empty() && unreadable.images.is_empty() {
        return Err(Error::damaged("index.json", "it lists no image"));
    }
    let mut homes: HashMap<Digest, ImageRepositories> = HashMap::new();
    add_homes(&mut homes, &listed, |homes| &mut homes.original);
    listing::apply(&mut listed, rules)?;
    add_homes(&mut homes, &listed, |homes| &mut homes.named);
    let mut walker = Walker::new(find, lack);
    let mut referrers = Referrers::of(&listed, &walker)?;
    let (mut roots, mut repositories) = (HashMap::new(), Repositories::default());
    let mut left_out = 0;
    for image in &listed {
        let Naming::Full(name) = &image.naming else { continue };
        if !roots.contains_key(&image.digest) {
            let homes = &homes[&image.digest];
            let walked = match walker.walk(&image.digest, homes) {
                Ok(walked) => walked,
                Err(error) => {
                    unreadable.add(&name.repository, name.tag.as_ref(), Some(&image.digest), error)?;
                    continue;
                }
            };
            let referrers = referrers.attached_to(&walked.manifests, homes, &mut walker)?;
            let Walked { media_type, left_out, absent, .. } = walked;
            roots.insert(image.digest.clone(), Root { media_type, left_out, absent, referrers });
        }
        let root = &roots[&image.digest];
        if repositories.add(&name.repository, name.tag.as_ref(), &image.digest, root)? {
            left_out += root.left_out.len() as u64;
        }
        if left_out.saturating_mul(MIN_LEFT_OUT_BYTES) > MAX_PLAN_BYTES {
            let problem = PlanProblem::TooLarge(left_out.saturating_mul(MIN_LEFT_OUT_BYTES));
            return Err(Error::damaged("index.json", problem.to_string()));
        }
    }
    let mut others = walker.found();
    others.extend(referrers.all());
    listing::check_named(&listed, &others)?;
    walker.check_missing()?;
    let mut notices = Vec::new();
    let orphans = referrers.orphans();
    if orphans > 0 {
        notices.push(Notice::Orphans { count: orphans });
    }
    notices.extend(repositories.partial(&roots));
    let presumed = walker.presumed;
    let contents = walker.contents.into_iter().map(|(digest, kind, extent)| {
        (PlannedContent { digest, size_bytes: extent.size_bytes, kind }, extent)
    });
    let (contents, extents) = contents.unzip();
    let plan = Plan { contents, presumed, repositories: repositories.planned, ..Plan::default() };
    Ok(Planned { plan, extents, notices, unreadable: unreadable.images })
}

/// Adds the repositories of images with full names.
fn add_homes(
    homes: &mut HashMap<Digest, ImageRepositories>,
    listed: &[ListedImage],
    list: fn(&mut ImageRepositories) -> &mut Vec<RepositoryName>,
) {
    for image in listed {
        let Naming::Full(name) = &image.naming else { continue };
        let repositories = list(homes.entry(image.digest.clone()).or_default());
        if repositories.len() < MAX_PRESUMED_REPOSITORIES && !repositories.contains(&name.repository) {
            repositories.push(name.repository.clone());
        }
    }
}

/// The repositories in the order in which the file names them.
#[derive(Default)]
struct Repositories {
    planned: Vec<PlannedRepository>,
    places: HashMap<RepositoryName, usize>,
    images: HashMap<(usize, Digest), usize>,
    tags: HashMap<(usize, Tag), Digest>,
}

impl Repositories {
    /// Adds an image; returns whether the repository did not have it.
    fn add(
        &mut self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        digest: &Digest,
        root: &Root,
    ) -> Result<bool> {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.planned.push(PlannedRepository { name: name.clone(), complete: false, images: Vec::new() });
            self.planned.len() - 1
        });
        let images = &mut self.planned[place].images;
        let mut is_new = false;
        let image = *self.images.entry((place, digest.clone())).or_insert_with(|| {
            is_new = true;
            images.push(PlannedImage {
                digest: digest.clone(),
                tags: Vec::new(),
                media_type: root.media_type.clone(),
                left_out: root.left_out.clone(),
                referrers: root.referrers.clone(),
            });
            images.len() - 1
        });
        if let Some(tag) = tag {
            match self.tags.insert((place, tag.clone()), digest.clone()) {
                None => images[image].tags.push(tag.clone()),
                Some(other) if other == *digest => {}
                Some(other) => {
                    let problem = format!(
                        "{other} and {digest} both have the name {name}:{tag}: pass `--map @{digest}=REPOSITORY:TAG`"
                    );
                    return Err(Error::damaged("index.json", problem));
                }
            }
        }
        Ok(is_new)
    }

    /// The images of which the file has a part of the platforms.
    fn partial(&self, roots: &HashMap<Digest, Root>) -> Vec<Notice> {
        let images = self.planned.iter().flat_map(|it| it.images.iter().map(move |image| (it, image)));
        let partial = images.filter_map(|(repository, image)| {
            let absent = roots.get(&image.digest).map(|root| root.absent.as_slice()).unwrap_or_default();
            let image = match image.tags.first() {
                Some(tag) => format!("{}:{tag}", repository.name),
                None => repository.name.to_string(),
            };
            (!absent.is_empty()).then(|| Notice::Partial { image, absent: absent.join(", ") })
        });
        partial.collect()
    }
}
