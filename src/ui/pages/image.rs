//! One image: how to pull it, what it consists of, how it was built, and what is attached to it.

use std::time::SystemTime;

use askama::Template;
use http::StatusCode;
use sampan_engine::oci::{Descriptor, Digest, Manifest, Reference, RepositoryName};
use sampan_engine::{ImageKind, ImageSummary, Referrer, ReferrersQuery, Repository};

use super::commands::{Command, commands};
use super::config::{self, Config, Known};
use crate::frame::Frame;
use crate::gate::Visitor;
use crate::kind::{is_attestation, is_damage, kind_name, platforms, referrer_kind};
use crate::language::Language;
use crate::pages::{Problem, Step, crumbs};
use crate::place::Place;
use crate::query::query;
use crate::reply::{self, Reply};
use crate::shown::{self, Moment};
use crate::ui::Scene;

/// The most entries of a list that a page shows.
const MAX_SHOWN: usize = 200;

/// The longest manifest that is shown as it is, in bytes.
const MAX_RAW_BYTES: usize = 32 << 10;

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    f: Frame,
    crumbs: Vec<Step>,
    reference: String,
    damages: Vec<String>,
    facts: Vec<Fact>,
    commands: Vec<Command>,
    children: Shown<Child>,
    layers: Shown<Layer>,
    steps: Shown<BuildStep>,
    config_note: Option<String>,
    execution: Vec<Fact>,
    environment: Shown<String>,
    labels: Shown<Pair>,
    annotations: Shown<Pair>,
    referrers: Shown<Attached>,
    raw: Option<String>,
    compare: String,
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

/// The part of a list that is shown, and the number of the others.
struct Shown<T> {
    items: Vec<T>,
    others: usize,
}

impl<T> Shown<T> {
    fn of<A>(all: impl ExactSizeIterator<Item = A>, show: impl FnMut(A) -> T) -> Self {
        let others = all.len().saturating_sub(MAX_SHOWN);
        Self { items: all.take(MAX_SHOWN).map(show).collect(), others }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn len(&self) -> usize {
        self.items.len() + self.others
    }
}

struct Child {
    platform: String,
    kind: String,
    /// `None` if the repository lacks it.
    link: Option<String>,
    digest: String,
    size: String,
}

struct Layer {
    number: usize,
    digest: String,
    media_type: String,
    size: String,
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
    scene: &Scene<'_>,
    visitor: &Visitor,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Reply, Problem> {
    let repository = scene.registry().repository(name.clone());
    let pushed = match reference {
        Reference::Tag(tag) => repository.tags().pushed_at(tag).await?,
        Reference::Digest(_) => None,
    };
    let digest = repository.manifests().digest(reference).await?;
    let summary = repository.summary(&digest).await?;
    // A damaged manifest has a page too, which says so.
    let bytes = match repository.manifests().get(&Reference::Digest(digest.clone())).await {
        Ok(stored) => Some(stored.bytes),
        Err(sampan_engine::Error::Corrupt(..)) => None,
        Err(error) => return Err(error.into()),
    };
    let manifest = bytes.as_deref().and_then(|bytes| Manifest::parse(bytes, None).ok());
    let wanted = ReferrersQuery { limit: MAX_SHOWN + 1, max_bytes: 1 << 20, ..ReferrersQuery::default() };
    let referrers = repository.referrers().list(&digest, &wanted).await?;

    let f = scene.frame(Some(visitor));
    let t = f.t;
    let config = match manifest.as_ref().and_then(|manifest| manifest.config.as_ref()) {
        Some(config) if summary.kind == ImageKind::Image => Some(config::read(&repository, config).await?),
        _ => None,
    };
    let (config, config_note) = match config {
        Some(Known::Image(config)) => (Some(config), None),
        Some(Known::Missing) => (None, Some(t.config_missing())),
        Some(Known::Unread) => (None, Some(t.config_unread())),
        None => (None, None),
    };
    let layers = manifest.as_ref().map(|manifest| manifest.layers.as_slice()).unwrap_or_default();
    let children = match &manifest {
        Some(manifest) => children(&f, &repository, manifest).await?,
        None => Shown { items: Vec::new(), others: 0 },
    };
    let execution = config.as_ref().map(|config| &config.config);
    let page = ImagePage {
        crumbs: crumbs(&f, name, true),
        reference: match reference {
            Reference::Tag(tag) => format!("{name}:{tag}"),
            Reference::Digest(digest) => format!("{name}@{}", shown::short(digest)),
        },
        damages: summary.gaps.iter().filter(|gap| is_damage(gap)).map(ToString::to_string).collect(),
        facts: facts(&f, name, &digest, &summary, manifest.as_ref(), pushed),
        commands: commands(scene.pull_host(), name, reference, summary.kind),
        children,
        layers: Shown::of(layers.iter().enumerate(), |(index, layer)| Layer {
            number: index + 1,
            digest: shown::short(&layer.digest),
            media_type: shown::text(&layer.media_type),
            size: shown::size(layer.size),
        }),
        steps: steps(config.as_deref(), layers),
        config_note,
        execution: execution.map(|execution| how_it_runs(t, execution)).unwrap_or_default(),
        environment: Shown::of(execution.map_or(&[][..], |it| &it.env).iter(), |line| shown::text(line)),
        labels: pairs(execution.map(|it| &it.labels)),
        annotations: pairs(manifest.as_ref().map(|manifest| &manifest.annotations)),
        referrers: Shown::of(referrers.descriptors.iter(), |referrer| attached(&f, name, referrer)),
        compare: {
            let reference = match reference {
                Reference::Tag(tag) => tag.to_string(),
                Reference::Digest(digest) => digest.to_string(),
            };
            format!("{}{}", f.to(&Place::Compare(name.clone())), query(&[("a", &reference)]))
        },
        raw: bytes.filter(|bytes| bytes.len() <= MAX_RAW_BYTES).map(|bytes| raw(&bytes)),
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
        let place = Place::Image(name.clone(), Reference::Digest(subject.digest.clone()));
        fact(t.subject(), vec![Value::Link { link: f.to(&place), text: shown::short(&subject.digest) }]);
    }
    facts
}

async fn children(f: &Frame, repository: &Repository, manifest: &Manifest) -> Result<Shown<Child>, Problem> {
    let mut children = Vec::new();
    for child in manifest.manifests.iter().take(MAX_SHOWN) {
        let summary = match repository.summary(&child.digest).await {
            Ok(summary) => Some(summary),
            Err(sampan_engine::Error::ManifestUnknown(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let platform = child.platform.as_ref().map(|platform| {
            let variant = platform.rest.get("variant").and_then(|it| it.as_str()).map(|it| format!("/{it}"));
            shown::text(&format!("{}/{}{}", platform.os, platform.architecture, variant.unwrap_or_default()))
        });
        let is_attestation = is_attestation(child);
        let place = Place::Image(repository.name().clone(), Reference::Digest(child.digest.clone()));
        children.push(Child {
            platform: platform.filter(|_| !is_attestation).unwrap_or_default(),
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
    Ok(Shown { others: manifest.manifests.len() - children.len(), items: children })
}

/// The steps of the build, each with the layer that it made: those that are not empty have one each, in order.
fn steps(config: Option<&Config>, layers: &[Descriptor]) -> Shown<BuildStep> {
    let Some(config) = config else { return Shown { items: Vec::new(), others: 0 } };
    let mut sizes = layers.iter().map(|layer| shown::size(layer.size));
    Shown::of(config.history.iter().enumerate(), |(index, step)| {
        let command = if step.created_by.is_empty() { &step.comment } else { &step.created_by };
        BuildStep {
            number: index + 1,
            command: shown::text(command.trim()),
            size: if step.empty_layer { None } else { sizes.next() },
        }
    })
}

fn how_it_runs(t: Language, execution: &config::Execution) -> Vec<Fact> {
    let words = |words: &[String]| Some(words.join(" ")).filter(|line| !line.is_empty());
    let keys = |keys: Vec<&String>| {
        Some(keys.into_iter().cloned().collect::<Vec<_>>().join(", ")).filter(|it| !it.is_empty())
    };
    let text = |text: &String| Some(text.clone()).filter(|it| !it.is_empty());
    [
        (t.entrypoint(), words(&execution.entrypoint)),
        (t.command(), words(&execution.cmd)),
        (t.user(), text(&execution.user)),
        (t.working_directory(), text(&execution.working_dir)),
        (t.ports(), keys(execution.exposed_ports.keys().collect())),
        (t.volumes(), keys(execution.volumes.keys().collect())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(Fact { name, values: vec![Value::Code(shown::text(&value?))] }))
    .collect()
}

fn pairs(map: Option<&std::collections::BTreeMap<String, String>>) -> Shown<Pair> {
    let Some(map) = map else { return Shown { items: Vec::new(), others: 0 } };
    Shown::of(map.iter(), |(key, value)| Pair {
        key: shown::text(key),
        value: shown::text(value),
        link: shown::link(value).map(str::to_owned),
    })
}

fn attached(f: &Frame, name: &RepositoryName, referrer: &Referrer) -> Attached {
    let descriptor = referrer.descriptor();
    let artifact_type = descriptor.artifact_type.unwrap_or_default();
    let place = Place::Image(name.clone(), Reference::Digest(descriptor.digest.clone()));
    Attached {
        kind: referrer_kind(f.t, &artifact_type),
        artifact_type: shown::text(&artifact_type),
        link: f.to(&place),
        digest: shown::short(&descriptor.digest),
        size: shown::size(descriptor.size),
    }
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
