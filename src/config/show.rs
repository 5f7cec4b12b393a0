//! `config show`: the effective configuration as YAML, each value with its origin.

use sampan_shown_url::ShownUrl;
use serde_yaml::DoubleQuoted;

use super::key::{Disclosure, Key, Kind};
use super::node::{Content, Entry, Scalar};
use super::root::ROOT;
use super::scalar::{self, PlainScalar};
use super::secret::{REDACTED, is_secret_name};
use super::{Loaded, Node};

/// The effective configuration as YAML: defaults filled in, secrets as `***`, and the origin of each value as a comment.
pub fn show(loaded: &Loaded) -> String {
    let mut page = Page { text: format!("# {}\n", loaded.source) };
    page.map(&loaded.tree, &ROOT, 0, Disclosure::Usual);
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn map(&mut self, node: &Node, kind: &Kind, indent: usize, showing: Disclosure) {
        let keys = kind.keys();
        for entry in in_order(node.entries(), &keys) {
            let key = keys.iter().find(|key| key.yaml == entry.key);
            let child = key.map_or_else(|| kind.item(), |key| key.kind);
            if says_nothing(&entry.value, &child) {
                continue;
            }
            let showing = showing_below(showing, key.copied(), is_secret_scalar(entry));
            self.indent(indent);
            self.text.push_str(&quote_key(&entry.key));
            self.text.push(':');
            self.value(&entry.value, &child, indent, showing);
        }
    }

    /// Writes the value after `key:` or `-`.
    fn value(&mut self, node: &Node, kind: &Kind, indent: usize, showing: Disclosure) {
        let note = node.origin.note();
        match &node.content {
            Content::Map(entries) if !entries.is_empty() => {
                self.text.push('\n');
                self.map(node, kind, indent + 1, showing);
            }
            Content::List(items) if !items.is_empty() => {
                self.text.push('\n');
                for item in items {
                    self.item(item, &kind.item(), indent + 1, showing);
                }
            }
            Content::Map(_) => self.leaf("{}", &note),
            Content::List(_) => self.leaf("[]", &note),
            Content::Null => self.leaf("~", &note),
            Content::Scalar(_) if showing == Disclosure::Never => self.leaf(&quoted(REDACTED), &note),
            Content::Scalar(scalar) => match shortened(scalar, showing) {
                Some(url) => self.leaf(&quote(&url), &format!("{note}, without user info and query")),
                None => self.leaf(&quote(scalar), &note),
            },
        }
    }

    fn item(&mut self, item: &Node, kind: &Kind, indent: usize, showing: Disclosure) {
        let start = self.text.len();
        if !item.entries().is_empty() {
            self.map(item, kind, indent + 1, showing);
        }
        // The first key of a map is on the line of the dash, which replaces a space.
        let dash = start + 2 * indent;
        if self.text.len() > dash {
            self.text.replace_range(dash..=dash, "-");
            return;
        }
        self.indent(indent);
        self.text.push('-');
        self.value(item, kind, indent, showing);
    }

    fn leaf(&mut self, value: &str, note: &str) {
        self.text.push_str(&format!(" {value}  # {note}\n"));
    }

    fn indent(&mut self, indent: usize) {
        self.text.push_str(&"  ".repeat(indent));
    }
}

/// The part of a URL that may be shown, if the URL may hold secrets.
fn shortened(scalar: &Scalar, showing: Disclosure) -> Option<Scalar> {
    if showing == Disclosure::Verbatim || !ShownUrl::looks_like_one(&scalar.text) {
        return None;
    }
    let url = ShownUrl::new(&scalar.text);
    url.is_shortened().then(|| Scalar { text: url.to_string(), quoted: scalar.quoted })
}

/// Whether a section exists only to hold keys, none of which has a value.
fn says_nothing(node: &Node, kind: &Kind) -> bool {
    let Kind::Section(keys) = kind else { return false };
    let kind_of =
        |entry: &Entry| keys.iter().find(|key| key.yaml == entry.key).map_or(Kind::Any, |key| key.kind);
    node.entries().iter().all(|entry| says_nothing(&entry.value, &kind_of(entry)))
}

/// How to show a key's value, given how to show the section around it.
pub(super) fn showing_below(above: Disclosure, key: Option<&Key>, is_secret: bool) -> Disclosure {
    match key.map(|key| key.showing) {
        _ if above != Disclosure::Usual => above,
        _ if is_secret => Disclosure::Never,
        Some(showing) => showing,
        None => Disclosure::Usual,
    }
}

/// Sorts entries in the order of the rows; entries without a row come first, in the order of the file.
fn in_order<'a>(entries: &'a [Entry], keys: &[&Key]) -> Vec<&'a Entry> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted
        .sort_by_key(|entry| keys.iter().position(|key| key.yaml == entry.key).map_or(0, |index| index + 1));
    sorted
}

pub(super) fn is_secret_scalar(entry: &Entry) -> bool {
    matches!(entry.value.content, Content::Scalar(_)) && is_secret_name(&entry.key)
}

fn quote_key(key: &str) -> String {
    if is_plain(key) { key.to_owned() } else { quoted(key) }
}

/// Quotes a scalar where the plain word would have another meaning, so that reading it again gives the same value.
fn quote(scalar: &Scalar) -> String {
    let reads_as_text = scalar::resolve(&scalar.text) == PlainScalar::Text;
    let is_number_or_flag = !scalar.quoted && !reads_as_text;
    if is_number_or_flag || (reads_as_text && is_plain(&scalar.text)) {
        scalar.text.clone()
    } else {
        quoted(&scalar.text)
    }
}

/// A text as a scalar that is read as the same text, also within `[…]` and `{…}`. Globs stay plain.
pub(super) fn quote_text(text: &str) -> String {
    let reads_as_text = scalar::resolve(text) == PlainScalar::Text && !text.starts_with(['*', '?']);
    match reads_as_text && is_plain(&text.replace(['*', '?'], "x")) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn is_plain(text: &str) -> bool {
    let ordinary = |c: char| c.is_alphanumeric() || "_-./:+@".contains(c);
    text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | ':'))
        && text.len() > usize::from(text.starts_with(':'))
        && !text.ends_with(':')
        && text.chars().all(ordinary)
}

/// The text in double quotes, with escapes for control characters.
#[expect(clippy::expect_used, reason = "a text is serialized into memory")]
fn quoted(text: &str) -> String {
    let yaml = serde_yaml::to_string(&DoubleQuoted(text)).expect("invariant: a text has a form in YAML");
    yaml.trim_end().to_owned()
}
