//! One image: how to pull it, what it consists of, how it was built, and what is attached to it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use askama::Template;
use http::StatusCode;
use sampan_engine::oci::{Descriptor, Digest, Manifest, Reference, RepositoryName, Tag};
use sampan_engine::{Dated, Error, ImageSummary, Referrer, ReferrersQuery, Repository};

use super::commands::{Command, commands};
use super::config::{Config, Execution, KnownConfig};
use super::page_budget::{FittedList, PageBudget};
use super::sharing::LayerSharing;
use super::stored_image::StoredImage;
use crate::frame::Frame;
use crate::gate::Visitor;
use crate::kind::{is_attestation, is_damage, kind_name, platforms, referrer_kind};
use crate::language::Language;
use crate::pages::{Problem, Step, crumbs};
use crate::query::query;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::shown::{self, Moment};
use crate::ui::PageContext;

/// The most children and referrers that are read from the store for a page.
const MAX_READ: usize = 200;

/// The most earlier images of a tag.
const MAX_EARLIER: usize = 20;

/// The room for all lists, in bytes.
const LIST_BYTES: usize = 64 << 10;

/// The longest manifest that is shown as it is, in bytes of HTML.
const MAX_RAW_BYTES: usize = 24 << 10;

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    f: Frame,
    crumbs: Vec<Step>,
    reference: String,
    damages: Vec<String>,
    facts: Vec<Fact>,
    commands: Vec<Command>,
    children: FittedList<Child>,
    layers: FittedList<Layer>,
    /// As of when it is known which other images have the layers.
    layers_as_of: Option<Moment>,
    steps: FittedList<BuildStep>,
    config_note: Option<String>,
    execution: Vec<Fact>,
    environment: FittedList<String>,
    labels: FittedList<Pair>,
    annotations: FittedList<Pair>,
    referrers: FittedList<Attached>,
    raw: Option<String>,
    compare: String,
    /// The earlier images of the tag, the latest first.
    earlier: Vec<Earlier>,
    earlier_title: String,
}

/// A line of facts.
struct Fact {
    name: String,
    values: Vec<Value>,
}

enum Value {
    Text(String),
    Code(String),
    Time(Moment),
    Link { link: String, text: String },
}

struct Child {
    platform: String,
    kind: String,
    /// `None` if the repository lacks it.
    link: Option<String>,
    digest: String,
    size: String,
}

struct Earlier {
    digest: String,
    /// `None` if the image is gone.
    link: Option<String>,
    at: Option<Moment>,
}

struct Layer {
    number: usize,
    digest: String,
    media_type: String,
    size: String,
    /// The number of other images that have it; `None` if that is not known.
    others: Option<u64>,
    /// The page that names them.
    link: String,
}

struct BuildStep {
    number: usize,
    command: String,
    /// `None` for a step without a layer.
    size: Option<String>,
}

struct Pair {
    key: String,
    value: String,
    link: Option<String>,
}

struct Attached {
    kind: String,
    artifact_type: String,
    link: String,
    digest: String,
    size: String,
}

/// Shows an image.
pub(crate) async fn show(
    scene: &PageContext<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Reply, Problem> {
    let repository = scene.registry().repository(name.clone());
    let pushed = match reference {
        Reference::Tag(tag) => repository.tags().pushed_at(tag).await?,
        Reference::Digest(_) => None,
    };
    let image = StoredImage::read(&repository, reference).await?;
    let known = image.config(&repository).await?;
    let wanted = ReferrersQuery { limit: MAX_READ + 1, max_bytes: 1 << 20, ..ReferrersQuery::default() };
    let referrers = repository.referrers().list(&image.digest, &wanted).await?.descriptors;

    let f = scene.frame(Some(visitor));
    let t = f.t;
    let StoredImage { digest, summary, bytes, manifest } = &image;
    let earlier = match reference {
        Reference::Tag(tag) => earlier(&f, &repository, tag, digest).await?,
        Reference::Digest(_) => Vec::new(),
    };
    let children = match manifest {
        Some(manifest) => children(&f, &repository, manifest).await?,
        None => Vec::new(),
    };
    let left_out = manifest.as_ref().map_or(0, |manifest| manifest.manifests.len() - children.len());
    let config = known.as_ref().and_then(KnownConfig::image);
    let execution = config.map(|config| &config.config);
    let environment = execution.map_or(&[][..], |it| &it.env).iter();
    let layers = manifest.as_ref().map_or(&[][..], |manifest| &manifest.layers);
    let users = scene.registry().layer_users();
    let sharing = users.as_deref().map(|users| LayerSharing::new(users, visitor));
    let others = |layer: &Digest| sharing.as_ref().map(|sharing| sharing.others(layer, name, digest));
    let mut room = PageBudget::of(LIST_BYTES);
    // What matters most comes first, since the lists share their room.
    let mut children = FittedList::of(&mut room, children.into_iter(), Child::with_length);
    children.others += left_out;
    let page = ImagePage {
        referrers: FittedList::of(&mut room, referrers.iter(), |it| attached(&f, name, it)),
        children,
        layers: FittedList::of(&mut room, layers.iter().enumerate(), |(index, it)| {
            layer(&f, name, index, it, others(&it.digest))
        }),
        layers_as_of: users.as_ref().and_then(|users| Moment::of(users.as_of())),
        environment: FittedList::of(&mut room, environment, |line| {
            let line = shown::text(line);
            let length = shown::escaped_length(&line);
            (line, length)
        }),
        labels: pairs(&mut room, execution.map(|it| &it.labels)),
        annotations: pairs(&mut room, manifest.as_ref().map(|manifest| &manifest.annotations)),
        steps: steps(&mut room, config, layers),
        earlier_title: reference.tag().map(|tag| t.history_of_tag(tag.as_str())).unwrap_or_default(),
        earlier,
        config_note: known.as_ref().and_then(|known| known.note(t)),
        crumbs: crumbs(&f, name, true),
        reference: match reference {
            Reference::Tag(tag) => format!("{name}:{tag}"),
            Reference::Digest(digest) => format!("{name}@{}", shown::short(digest)),
        },
        damages: summary.gaps.iter().filter(|gap| is_damage(gap)).map(ToString::to_string).collect(),
        facts: facts(&f, name, digest, summary, manifest.as_ref(), pushed),
        commands: commands(scene.pull_host(), name, reference, summary.kind),
        execution: execution.map(|execution| how_it_runs(t, execution)).unwrap_or_default(),
        compare: {
            let reference = match reference {
                Reference::Tag(tag) => tag.to_string(),
                Reference::Digest(digest) => digest.to_string(),
            };
            format!("{}{}", f.to(&Route::Compare(name.clone())), query(&[("a", &reference)]))
        },
        raw: bytes.as_deref().map(raw).filter(|raw| shown::escaped_length(raw) <= MAX_RAW_BYTES),
        f: f.titled(match reference {
            Reference::Tag(tag) => format!("{name}:{tag}"),
            Reference::Digest(digest) => format!("{name} {}", shown::short(digest)),
        }),
    };
    Ok(reply::page(StatusCode::OK, &page))
}

fn facts(
    f: &Frame,
    name: &RepositoryName,
    digest: &Digest,
    summary: &ImageSummary,
    manifest: Option<&Manifest>,
    pushed: Option<SystemTime>,
) -> Vec<Fact> {
    let t = f.t;
    let mut facts = Vec::new();
    let mut fact = |name: String, values: Vec<Value>| {
        if !values.is_empty() {
            facts.push(Fact { name, values });
        }
    };
    let text = |text: &str| Value::Text(shown::text(text));
    fact(t.digest(), vec![Value::Code(digest.to_string())]);
    fact(t.name(), summary.title.iter().map(|it| text(it)).collect());
    fact(t.version(), summary.version.iter().map(|it| text(it)).collect());
    fact(t.kind(), vec![Value::Text(kind_name(t, summary))]);
    if let Some(manifest) = manifest {
        fact(t.media_type(), vec![Value::Code(manifest.kind.media_type().to_owned())]);
    }
    fact(t.artifact_type(), summary.artifact_type.iter().map(|it| Value::Code(shown::text(it))).collect());
    fact(
        t.platforms(),
        Some(platforms(summary)).filter(|it| !it.is_empty()).map(Value::Text).into_iter().collect(),
    );
    fact(t.size(), vec![Value::Text(shown::size(summary.size_bytes))]);
    fact(t.pushed(), pushed.and_then(Moment::of).map(Value::Time).into_iter().collect());
    fact(t.created(), summary.created.and_then(Moment::of).map(Value::Time).into_iter().collect());
    if let Some(subject) = manifest.and_then(|manifest| manifest.subject.as_ref()) {
        let place = Route::Image(name.clone(), Reference::Digest(subject.digest.clone()));
        fact(t.subject(), vec![Value::Link { link: f.to(&place), text: shown::short(&subject.digest) }]);
    }
    facts
}

async fn children(f: &Frame, repository: &Repository, manifest: &Manifest) -> Result<Vec<Child>, Problem> {
    let mut children = Vec::new();
    for child in manifest.manifests.iter().take(MAX_READ) {
        let summary = match repository.summary(&child.digest).await {
            Ok(summary) => Some(summary),
            Err(Error::ManifestUnknown(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_attestation = is_attestation(child);
        let platform = child.platform.as_ref().filter(|_| !is_attestation).and_then(|it| it.text());
        let place = Route::Image(repository.name().clone(), Reference::Digest(child.digest.clone()));
        children.push(Child {
            platform: platform.unwrap_or_default(),
            kind: match &summary {
                _ if is_attestation => f.t.kind_attestation(),
                Some(summary) => kind_name(f.t, summary),
                None => String::new(),
            },
            link: summary.is_some().then(|| f.to(&place)),
            digest: shown::short(&child.digest),
            size: summary.map(|summary| shown::size(summary.size_bytes)).unwrap_or_default(),
        });
    }
    Ok(children)
}

/// The images that a tag pointed at before.
async fn earlier(
    f: &Frame,
    repository: &Repository,
    tag: &Tag,
    now: &Digest,
) -> Result<Vec<Earlier>, Problem> {
    let mut earlier = Vec::new();
    let history = repository.tags().history(tag).await?;
    for Dated { at, what: digest } in history.items.into_iter().filter(|it| it.what != *now).take(MAX_EARLIER)
    {
        let reference = Reference::Digest(digest.clone());
        let is_there = match repository.manifests().digest(&reference).await {
            Ok(_) => true,
            Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => false,
            Err(error) => return Err(error.into()),
        };
        let place = Route::Image(repository.name().clone(), reference);
        let link = is_there.then(|| f.to(&place));
        earlier.push(Earlier { digest: shown::short(&digest), link, at: Moment::of(at) });
    }
    Ok(earlier)
}

impl Child {
    fn with_length(self) -> (Self, usize) {
        let link = self.link.as_ref().map_or(0, String::len);
        let length = shown::escaped_length(&self.platform) + self.kind.len() + link + self.digest.len();
        (self, length)
    }
}

fn layer(
    f: &Frame,
    name: &RepositoryName,
    index: usize,
    layer: &Descriptor,
    others: Option<u64>,
) -> (Layer, usize) {
    let (digest, media_type) = (shown::short(&layer.digest), shown::text(&layer.media_type));
    let link = f.to(&Route::Layer(name.clone(), layer.digest.clone()));
    // A link has its count, and the same for those who listen.
    let link_length =
        if others.is_some_and(|others| others > 0) { link.len() + digest.len() + 60 } else { 0 };
    let length = digest.len() + shown::escaped_length(&media_type) + link_length;
    (Layer { number: index + 1, digest, media_type, size: shown::size(layer.size), others, link }, length)
}

/// The steps of the build, each with the layer that it made: those that are not empty have one each, in order.
fn steps(room: &mut PageBudget, config: Option<&Config>, layers: &[Descriptor]) -> FittedList<BuildStep> {
    let Some(config) = config else { return FittedList::empty() };
    let mut sizes = layers.iter().map(|layer| shown::size(layer.size));
    FittedList::of(room, config.history.iter().enumerate(), |(index, step)| {
        let command = if step.created_by.is_empty() { &step.comment } else { &step.created_by };
        let command = shown::text(command.trim());
        let length = shown::escaped_length(&command);
        let size = if step.empty_layer { None } else { sizes.next() };
        (BuildStep { number: index + 1, command, size }, length)
    })
}

fn how_it_runs(t: Language, execution: &Execution) -> Vec<Fact> {
    let properties = execution.properties(t).into_iter();
    let fact = |(name, value): (String, Option<String>)| {
        Some(Fact { name, values: vec![Value::Code(shown::text(&value?))] })
    };
    properties.filter_map(fact).collect()
}

fn pairs(room: &mut PageBudget, map: Option<&BTreeMap<String, String>>) -> FittedList<Pair> {
    let Some(map) = map else { return FittedList::empty() };
    FittedList::of(room, map.iter(), |(key, value)| {
        let link = shown::link(value).map(str::to_owned);
        let (key, value) = (shown::text(key), shown::text(value));
        let link_length = link.as_deref().map_or(0, shown::escaped_length);
        let length = shown::escaped_length(&key) + shown::escaped_length(&value) + link_length;
        (Pair { key, value, link }, length)
    })
}

fn attached(f: &Frame, name: &RepositoryName, referrer: &Referrer) -> (Attached, usize) {
    let descriptor = referrer.descriptor();
    let artifact_type = descriptor.artifact_type.unwrap_or_default();
    let place = Route::Image(name.clone(), Reference::Digest(descriptor.digest.clone()));
    let attached = Attached {
        kind: referrer_kind(f.t, &artifact_type),
        artifact_type: shown::text(&artifact_type),
        link: f.to(&place),
        digest: shown::short(&descriptor.digest),
        size: shown::size(descriptor.size),
    };
    let length = shown::escaped_length(&attached.artifact_type) + attached.link.len() + attached.digest.len();
    (attached, length)
}

/// The manifest as people read it: with line ends if it has none.
fn raw(bytes: &[u8]) -> String {
    let is_one_line = !bytes.trim_ascii_end().contains(&b'\n');
    let pretty = || {
        serde_json::from_slice::<serde_json::Value>(bytes)
            .ok()
            .and_then(|it| serde_json::to_string_pretty(&it).ok())
    };
    let text =
        is_one_line.then(pretty).flatten().unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    text.lines().map(shown::line).collect::<Vec<_>>().join("\n")
}
