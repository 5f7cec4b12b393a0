//! Typing slips that YAML reads as something else, found in the text before it is parsed: full-width colons, spaces and
//! quotation marks of an input method for Chinese, and a colon without a space after it.
//!
//! The parser would report only the consequences, several lines further down. Each slip is repaired for the parser, so that the
//! same run reports the other mistakes of the file.

use super::key::Kind;
use super::node::Content;
use super::root::ROOT;
use super::{Diagnostic, Node, Origin, diagnostic};

/// The slips, and the text without them.
pub(super) struct Slips {
    pub(super) repaired: String,
    pub(super) mistakes: Vec<Diagnostic>,
}

/// Finds slips line by line; `origin` maps a line and a column to an origin.
pub(super) fn slips(text: &str, origin: &dyn Fn(usize, usize) -> Origin) -> Slips {
    let mut found = Slips { repaired: String::with_capacity(text.len()), mistakes: Vec::new() };
    // A file without line breaks has a larger problem.
    if text.lines().filter(|line| !line.trim().is_empty()).nth(1).is_none() {
        text.clone_into(&mut found.repaired);
        return found;
    }
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let mut tell = |column, message| {
            found.mistakes.push(Diagnostic::new(&origin(index + 1, column), "", message));
        };
        let repaired = indentation(line, &mut tell);
        found.repaired.push_str(&colon(&repaired, &mut tell));
    }
    found
}

/// Replaces spaces that YAML does not know, before the first letter of a line.
fn indentation(line: &str, tell: &mut impl FnMut(usize, String)) -> String {
    let content = line.trim_start_matches(|c: char| is_odd_blank(c) || c == ' ' || c == '\t');
    let blanks = &line[..line.len() - content.len()];
    let Some((index, odd)) = blanks.chars().enumerate().find(|(_, c)| is_odd_blank(*c)) else {
        return line.to_owned();
    };
    // A byte order mark may begin a file, and a line of spaces is empty.
    if content.trim().is_empty() || content.starts_with('#') || (odd == '\u{feff}' && index == 0) {
        return line.to_owned();
    }
    let name = match odd {
        '\u{3000}' => "a full-width space",
        '\u{a0}' => "a no-break space",
        _ => "a space that YAML does not know",
    };
    tell(index + 1, format!("the line begins with U+{:04X}, {name}: indent by spaces", u32::from(odd)));
    let repaired: String = blanks.chars().map(|c| if c == '\u{3000}' { "  " } else { " " }).collect();
    repaired + content
}

fn is_odd_blank(c: char) -> bool {
    (c.is_whitespace() && !c.is_ascii()) || matches!(c, '\u{200b}' | '\u{feff}')
}

/// Mends the colon after a key of ours, if YAML does not take it for one.
fn colon(line: &str, tell: &mut impl FnMut(usize, String)) -> String {
    let key_begins = line.len() - line.trim_start_matches([' ', '-']).len();
    let rest = &line[key_begins..];
    let key_length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (key, rest) = rest.split_at(key_length);
    let column = key_begins + 1;
    let (value, problem) = if let Some(value) = rest.strip_prefix('：') {
        (value, "has a full-width colon (：) after it")
    } else if let Some(value) = rest.strip_prefix(':') {
        // A URL, a colon at the end or before a space, and an item such as `- redis:6379` are correct.
        let is_item = line[..key_begins].contains('-');
        if value.starts_with("//") || value.starts_with(char::is_whitespace) || value.is_empty() || is_item {
            return line.to_owned();
        }
        (value, "has no space after its colon")
    } else {
        return line.to_owned();
    };
    if key.is_empty() || !is_known(key, &ROOT) {
        return line.to_owned();
    }
    let value = value.trim();
    let shown = if value.is_empty() { format!("{key}:") } else { format!("{key}: {value}") };
    let shown = match super::secret::is_secret_name(key) {
        true => format!("{key}: …"),
        false => shown,
    };
    tell(column, format!("`{key}` {problem}; write `{shown}`"));
    let end = if line.ends_with('\n') { "\n" } else { "" };
    format!("{}{key}: {value}{end}", &line[..key_begins])
}

/// Whether a word is a key of the configuration, in any section.
fn is_known(word: &str, kind: &Kind) -> bool {
    match kind {
        Kind::List(item) => is_known(word, item),
        section => section.keys().iter().any(|key| key.yaml == word || is_known(word, &key.kind)),
    }
}

/// Values in quotation marks that YAML reads as letters.
pub(super) fn quotes(root: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    look_for_quotes(root, "", &mut found);
    found
}

fn look_for_quotes(node: &Node, path: &str, found: &mut Vec<Diagnostic>) {
    match &node.content {
        Content::Null => {}
        Content::Scalar(scalar) => {
            let text = scalar.text.as_str();
            let double = text.starts_with(['“', '”', '＂']) || text.ends_with(['“', '”', '＂']);
            let single = text.starts_with(['‘', '’', '＇']) && text.ends_with(['‘', '’', '＇']);
            if !scalar.quoted && (double || single) {
                let message = "has typographic quotation marks, which are part of the value: write \" or ' in their place, or \
                               put ' around all of it if they are meant";
                found.push(Diagnostic::new(&node.origin, path, message));
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                look_for_quotes(item, &format!("{path}[{index}]"), found);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                look_for_quotes(&entry.value, &diagnostic::child(path, &entry.key), found);
            }
        }
    }
}
