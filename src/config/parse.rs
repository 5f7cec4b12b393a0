//! YAML text → [`Node`]: the only user of the YAML parser.
//!
//! The parser reports events with their marks, and our tree keeps the marks, which no serde front-end does. Anchors, aliases
//! and `<<` work as in yaml.v2. Two rules are stricter: a duplicate key is an error (yaml.v2 silently takes the last), and
//! aliases cannot expand a small file to a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::{Content, Entry, Scalar};
use super::scalar::PlainScalar;
use super::{Diagnostic, Node, Origin, diagnostic};

/// No real configuration is deeper; a hostile one would exhaust the stack.
const MAX_DEPTH: usize = 64;
/// No real configuration is larger; nested aliases could be.
const MAX_NODES: usize = 100_000;

/// A parsed text.
pub(crate) struct Parsed {
    /// The first document.
    pub(crate) root: Node,
    /// The start of a second document, which Distribution ignores.
    pub(crate) rest: Option<Origin>,
}

/// Parses YAML; `origin` maps a line and a column to an origin.
pub(crate) fn parse(text: &str, origin: &dyn Fn(usize, usize) -> Origin) -> Result<Parsed, Vec<Diagnostic>> {
    built(text, origin, Builder::documents)
}

/// Parses YAML of several documents; `origin` maps a line and a column to an origin.
pub(crate) fn parse_all(
    text: &str,
    origin: &dyn Fn(usize, usize) -> Origin,
) -> Result<Vec<Node>, Vec<Diagnostic>> {
    built(text, origin, Builder::all_documents)
}

fn built<'a, T>(
    text: &'a str,
    origin: &'a dyn Fn(usize, usize) -> Origin,
    build: impl FnOnce(&mut Builder<'a>) -> Result<T, Diagnostic>,
) -> Result<T, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        origin,
        anchors: HashMap::new(),
        nodes: 0,
        diagnostics: Vec::new(),
    };
    match build(&mut builder) {
        Ok(built) if builder.diagnostics.is_empty() => Ok(built),
        Ok(_) => Err(builder.diagnostics),
        Err(diagnostic) => {
            builder.diagnostics.push(diagnostic);
            Err(builder.diagnostics)
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    origin: &'a dyn Fn(usize, usize) -> Origin,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Mistakes that do not stop parsing.
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn documents(&mut self) -> Result<Parsed, Diagnostic> {
        let mut root = None;
        let mut rest = None;
        loop {
            let (event, mark) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    rest = Some(self.place(mark));
                    break;
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, mark, "", 0)?),
            }
        }
        let root = root.unwrap_or_else(|| Node::null(&(self.origin)(1, 1)));
        Ok(Parsed { root, rest })
    }

    fn all_documents(&mut self) -> Result<Vec<Node>, Diagnostic> {
        let mut roots = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(roots),
                // An alias knows the anchors of its document.
                Event::DocumentStart(_) => self.anchors.clear(),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                event => roots.push(self.node(event, mark, "", 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, mark: Marker, path: &str, depth: usize) -> Result<Node, Diagnostic> {
        let origin = self.place(mark);
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(Diagnostic::new(&origin, path, "is nested too deeply or repeats aliases too often"));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = tag.is_some_and(|tag| is_text_tag(&tag));
                let quoted = tagged || style != ScalarStyle::Plain;
                let scalar = Scalar { text: text.into_owned(), quoted };
                let content = if scalar.meaning() == PlainScalar::Null {
                    Content::Null
                } else {
                    Content::Scalar(scalar)
                };
                (anchor, Node { origin, content })
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, mark) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    let path = format!("{path}[{}]", items.len());
                    items.push(self.node(event, mark, &path, depth + 1)?);
                }
                (anchor, Node { origin, content: Content::List(items) })
            }
            Event::MappingStart(anchor, _) => {
                let entries = self.mapping(path, depth)?;
                (anchor, Node { origin, content: Content::Map(entries) })
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::new(
                        &origin,
                        path,
                        "an alias is inside the value that it repeats",
                    ));
                };
                self.nodes += count(&node);
                return Ok(node);
            }
            _ => return Err(Diagnostic::new(&origin, path, "the YAML ends in the middle")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Vec<Entry>, Diagnostic> {
        let mut entries: Vec<Entry> = Vec::new();
        // The line of each key; a search of the entries would be quadratic.
        let mut seen: HashMap<String, Option<usize>> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            let key_origin = self.place(mark);
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, style, ..) => (key.into_owned(), style == ScalarStyle::Plain),
                _ => {
                    return Err(Diagnostic::new(
                        &key_origin,
                        path,
                        "a key must be a plain word, not a list or map",
                    ));
                }
            };
            let key_path = diagnostic::child(path, &key);
            let (event, mark) = self.next()?;
            let value = self.node(event, mark, &key_path, depth + 1)?;
            if key == "<<" && plain {
                match &value.content {
                    Content::List(maps) => merged.extend(maps.iter().cloned()),
                    _ => merged.push(value),
                }
                continue;
            }
            if let Some(first) = seen.get(&key) {
                let message = match first {
                    Some(line) => format!("appears twice, first in line {line}; keep one of the two"),
                    None => "appears twice; keep one of the two".to_owned(),
                };
                self.diagnostics.push(Diagnostic::new(&key_origin, key_path, message));
                continue;
            }
            seen.insert(key.clone(), key_origin.line());
            entries.push(Entry { key, key_origin, value });
        }
        for map in merged {
            let Content::Map(defaults) = map.content else {
                return Err(Diagnostic::new(&map.origin, path, "`<<` takes a map or a list of maps"));
            };
            for entry in defaults {
                if seen.insert(entry.key.clone(), None).is_none() {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    fn next(&mut self) -> Result<(Event<'a>, Marker), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Err(Diagnostic::new(&(self.origin)(1, 1), "", "the YAML ends in the middle")),
        }
    }

    fn broken(&self, error: &ScanError) -> Diagnostic {
        let origin = self.place(*error.marker());
        let (problem, remedy) = (error.info(), remedy(error.info()));
        Diagnostic::new(&origin, "", format!("this is not valid YAML: {problem}{remedy}"))
    }

    fn place(&self, mark: Marker) -> Origin {
        (self.origin)(mark.line(), mark.col() + 1)
    }
}

/// The remedy for the two most frequent mistakes.
fn remedy(problem: &str) -> &'static str {
    match problem {
        problem if problem.contains("tabs") => "; indent by spaces",
        problem if problem.contains("mapping values are not allowed") => {
            "; were line breaks lost when it was pasted? Each `key:` begins a line"
        }
        problem if problem.contains("did not find expected") => {
            "; is this line indented as far as the others of its section?"
        }
        _ => "",
    }
}

fn is_text_tag(tag: &Tag) -> bool {
    tag.suffix == "str" && (tag.is_yaml_core_schema() || tag.handle == "!!")
}

fn count(node: &Node) -> usize {
    match &node.content {
        Content::Null | Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|entry| count(&entry.value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(text: &str) -> Result<Parsed, Vec<String>> {
        let file: Arc<str> = Arc::from("c.yml");
        let origin = |line, column| Origin::File { file: file.clone(), line, column };
        parse(text, &origin).map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect())
    }

    fn text(parsed: &Parsed, path: &str) -> String {
        parsed.root.at(path).and_then(Node::as_text).unwrap_or("—").to_owned()
    }

    #[test]
    fn values_keep_their_text_and_place() {
        let parsed = check("version: 0.1\nhttp:\n  addr: :5000\n  h2c: { enabled: yes }\n").unwrap();
        assert_eq!(text(&parsed, "version"), "0.1");
        assert_eq!(text(&parsed, "http.addr"), ":5000");
        assert_eq!(parsed.root.at("http.addr").unwrap().origin.to_string(), "c.yml:3:9");
        assert_eq!(parsed.root.at("http").unwrap().origin.line(), Some(3));
        assert_eq!(parsed.root.entry("http").unwrap().key_origin.to_string(), "c.yml:2:1");
        assert!(parsed.root.at("http.h2c.enabled").unwrap().is_true());
        assert!(text(&check("{ http: { addr: :5000 } }").unwrap(), "http.addr") == ":5000");
    }

    #[test]
    fn a_duplicate_key_is_reported_with_both_lines() {
        let errors = check("http:\n  addr: :1\n  net: tcp\n  addr: :2\n  net: tcp\n").err().unwrap();
        assert_eq!(
            errors,
            [
                "c.yml:4:3: http.addr: appears twice, first in line 2; keep one of the two",
                "c.yml:5:3: http.net: appears twice, first in line 3; keep one of the two",
            ]
        );
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        let parsed = check("a: &a { x: 1, y: 2 }\nb:\n  <<: *a\n  y: 3\nc: *a\n").unwrap();
        assert_eq!(text(&parsed, "b.x"), "1");
        assert_eq!(text(&parsed, "b.y"), "3");
        assert_eq!(text(&parsed, "c.y"), "2");
    }

    #[test]
    fn quotes_that_change_nothing_make_no_difference() {
        let root = |text| check(text).unwrap().root;
        assert!(root("a: x y") == root("a: 'x y'"));
        assert!(root("a: 5") != root("a: '5'"));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(check(&bomb).err().unwrap()[0].contains("too often"));
        assert!(check(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn broken_yaml_is_located() {
        for text in ["a: [1, 2\nb: 3\n", "a:\n\t- b\n", "a: \"x\n", "a: b: c\n", "? [a]\n: b\n"] {
            let errors = check(text).err().unwrap();
            assert!(errors[0].starts_with("c.yml:"), "{errors:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a:\\[\\]{},&*!|>'\"%#?\\n\\t <~é]{0,60}") {
            let _ = check(&text);
        }
    }

    #[test]
    fn a_second_document_is_noticed() {
        let parsed = check("a: 1\n---\nb: 2\n").unwrap();
        assert_eq!(parsed.rest.unwrap().line(), Some(2));
        assert!(check("---\na: 1\n...\n").unwrap().rest.is_none());
        assert!(check("").unwrap().root.is_null());
    }
}
