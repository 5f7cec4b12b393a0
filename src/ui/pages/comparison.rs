//! `Comparison`: what two images have in common, and what differs.

use std::collections::{BTreeMap, HashSet};

use sampan_engine::oci::{Descriptor, Digest};

use super::config::{Execution, KnownConfig};
use super::page_budget::{FittedList, PageBudget};
use super::stored_image::StoredImage;
use crate::kind::{is_damage, kind_name, platforms};
use crate::language::Language;
use crate::shown::{self, Moment};

/// The room for the configurations, in bytes.
const CONFIG_BYTES: usize = 36 << 10;

/// The room for the layers, in bytes.
const LAYER_BYTES: usize = 36 << 10;

/// One of two images.
pub(crate) struct ComparedImage {
    pub(crate) image: StoredImage,
    /// `None` for what has no configuration that the page reads.
    pub(crate) config: Option<KnownConfig>,
}

/// Two images beside each other.
pub(crate) struct Comparison {
    pub(crate) is_same: bool,
    pub(crate) notes: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) layers: Vec<LayerGroup>,
}

/// Properties of a kind, those that differ first.
pub(crate) struct Group {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) differences: usize,
    pub(crate) rows: FittedList<Row>,
}

/// A property of both.
pub(crate) struct Row {
    pub(crate) name: String,
    /// `None` if one lacks it.
    pub(crate) values: [Option<String>; 2],
    pub(crate) differs: bool,
}

/// Layers of both, or of one alone, each once.
pub(crate) struct LayerGroup {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) layers: FittedList<Layer>,
}

pub(crate) struct Layer {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) size: String,
}

/// A property before it is cut: its name, and its whole value of each.
type Property = (String, [Option<String>; 2]);

impl Comparison {
    /// Compares two images, which the page calls by these labels.
    pub(crate) fn of(t: Language, labels: &[String; 2], sides: &[ComparedImage; 2]) -> Self {
        let mut notes = Vec::new();
        for (label, side) in labels.iter().zip(sides) {
            let config = side.config.as_ref().and_then(|known| known.note(t));
            let is_damaged = side.image.summary.gaps.iter().any(is_damage);
            notes.extend(
                is_damaged.then(|| t.damaged()).into_iter().chain(config).map(|it| format!("{label}: {it}")),
            );
        }
        let (layers, is_reordered) = layers(t, labels, sides);
        notes.extend(is_reordered.then(|| t.layers_reordered()));
        let mut facts_room = PageBudget::of(CONFIG_BYTES);
        let mut room = PageBudget::of(CONFIG_BYTES);
        let executions = sides
            .each_ref()
            .map(|side| side.config.as_ref().and_then(KnownConfig::image).map(|it| &it.config));
        let groups = [
            group("overview", t.overview(), facts(t, sides), &mut facts_room),
            group("configuration", t.configuration(), how_they_run(t, executions), &mut room),
            group("environment", t.environment(), environments(executions), &mut room),
            group("labels", t.labels(), labels_of(executions), &mut room),
        ];
        Self {
            is_same: sides[0].image.digest == sides[1].image.digest,
            notes,
            groups: groups.into_iter().filter(|group| !group.rows.is_empty()).collect(),
            layers,
        }
    }
}

/// The properties that one of the two has, those that differ first.
fn group(id: &'static str, title: String, all: Vec<Property>, room: &mut PageBudget) -> Group {
    let is_there = |(_, values): &Property| values.iter().any(Option::is_some);
    let differs = |(_, [a, b]): &Property| a != b;
    let (different, alike): (Vec<_>, Vec<_>) = all.into_iter().filter(is_there).partition(differs);
    let differences = different.len();
    let all: Vec<Property> = different.into_iter().chain(alike).collect();
    let rows = FittedList::of(room, all.iter(), |property| {
        let (name, values) = property;
        let values = values.each_ref().map(|value| value.as_deref().map(shown::text));
        let row = Row { name: shown::text(name), values, differs: differs(property) };
        let [a, b] = row.values.each_ref().map(|value| value.as_deref().unwrap_or_default());
        let length = shown::escaped_length(&row.name) + shown::escaped_length(a) + shown::escaped_length(b);
        (row, length)
    });
    Group { id, title, differences, rows }
}

fn facts(t: Language, sides: &[ComparedImage; 2]) -> Vec<Property> {
    let each = |value: &dyn Fn(&ComparedImage) -> Option<String>| sides.each_ref().map(value);
    let manifest =
        |side: &ComparedImage| side.image.manifest.as_ref().map(|it| it.kind.media_type().to_owned());
    let platforms = |side: &ComparedImage| Some(platforms(&side.image.summary)).filter(|it| !it.is_empty());
    let created = |side: &ComparedImage| Some(Moment::of(side.image.summary.created?)?.human);
    vec![
        (t.digest(), each(&|side| Some(side.image.digest.to_string()))),
        (t.name(), each(&|side| side.image.summary.title.clone())),
        (t.version(), each(&|side| side.image.summary.version.clone())),
        (t.kind(), each(&|side| Some(kind_name(t, &side.image.summary)))),
        (t.media_type(), each(&manifest)),
        (t.artifact_type(), each(&|side| side.image.summary.artifact_type.clone())),
        (t.platforms(), each(&platforms)),
        (t.size(), each(&|side| Some(shown::size(side.image.summary.size_bytes)))),
        (t.created(), each(&created)),
    ]
}

fn how_they_run(t: Language, executions: [Option<&Execution>; 2]) -> Vec<Property> {
    let none = Execution::default();
    let [a, b] = executions.map(|execution| execution.unwrap_or(&none).properties(t));
    a.into_iter().zip(b).map(|((name, a), (_, b))| (name, [a, b])).collect()
}

/// The variables by name; of several of one name the last counts.
fn environments(executions: [Option<&Execution>; 2]) -> Vec<Property> {
    by_name(executions.map(|execution| {
        let lines = execution.map_or(&[][..], |it| &it.env).iter();
        lines.map(|line| line.split_once('=').unwrap_or((line, ""))).collect()
    }))
}

fn labels_of(executions: [Option<&Execution>; 2]) -> Vec<Property> {
    by_name(executions.map(|execution| {
        let labels = execution.into_iter().flat_map(|it| &it.labels);
        labels.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }))
}

fn by_name(sides: [BTreeMap<&str, &str>; 2]) -> Vec<Property> {
    let [a, b] = &sides;
    let only_b = b.keys().filter(|name| !a.contains_key(*name));
    let mut names: Vec<&str> = a.keys().chain(only_b).copied().collect();
    names.sort_unstable();
    let value = |side: &BTreeMap<&str, &str>, name| side.get(name).map(|value| (*value).to_owned());
    names.into_iter().map(|name| (name.to_owned(), [value(a, name), value(b, name)])).collect()
}

/// The layers of each alone and of both; and whether both have the same ones in another order or number.
fn layers(t: Language, labels: &[String; 2], sides: &[ComparedImage; 2]) -> (Vec<LayerGroup>, bool) {
    let [a, b] = sides.each_ref().map(|side| side.image.manifest.as_ref().map_or(&[][..], |it| &it.layers));
    let digests = |layers: &[Descriptor]| layers.iter().map(|it| it.digest.clone()).collect::<Vec<_>>();
    let (in_a, in_b) = (digests(a), digests(b));
    let (set_a, set_b): (HashSet<&Digest>, HashSet<&Digest>) = (in_a.iter().collect(), in_b.iter().collect());
    let only = |layers, others: &HashSet<&Digest>| distinct(layers, |digest| !others.contains(digest));
    let (only_a, only_b) = (only(a, &set_b), only(b, &set_a));
    let common = distinct(a, |digest| set_b.contains(digest));
    let is_reordered = only_a.is_empty() && only_b.is_empty() && in_a != in_b;
    let mut room = PageBudget::of(LAYER_BYTES);
    let mut group = |id, layers: &[&Descriptor], title: &dyn Fn(usize, &str) -> String| LayerGroup {
        id,
        title: title(
            layers.len(),
            &shown::size(layers.iter().fold(0, |sum: u64, it| sum.saturating_add(it.size))),
        ),
        layers: FittedList::of(&mut room, layers.iter(), |it| {
            let (digest, size) = (shown::short(&it.digest), shown::size(it.size));
            let layer = Layer { digest, media_type: shown::text(&it.media_type), size };
            let length = layer.digest.len() + shown::escaped_length(&layer.media_type);
            (layer, length)
        }),
    };
    let groups = vec![
        group("only-a", &only_a, &|count, size| t.layers_only(&labels[0], count, size)),
        group("only-b", &only_b, &|count, size| t.layers_only(&labels[1], count, size)),
        group("common", &common, &|count, size| t.layers_common(count, size)),
    ];
    (groups.into_iter().filter(|group| !group.layers.is_empty()).collect(), is_reordered)
}

/// The layers with these digests, each once.
fn distinct(layers: &[Descriptor], is_meant: impl Fn(&Digest) -> bool) -> Vec<&Descriptor> {
    let mut seen = HashSet::new();
    layers.iter().filter(|it| is_meant(&it.digest) && seen.insert(&it.digest)).collect()
}
