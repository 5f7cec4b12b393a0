//! `Findings`: what was found, each with the place in the tree that it is about.

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::config::{Finding, Node};

/// What was found so far.
pub(super) struct Findings<'a> {
    pub(super) tree: &'a Node,
    pub(super) mistakes: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tree: &'a Node) -> Self {
        Self { tree, mistakes: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn into_mistakes_and_warnings(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.mistakes, self.warnings)
    }

    pub(super) fn mistake(&mut self, path: &str, message: String) {
        let finding = self.finding(path, message);
        self.mistakes.push(finding);
    }

    pub(super) fn warning(&mut self, path: &str, message: &str) {
        let finding = self.finding(path, message.to_owned());
        self.warnings.push(finding);
    }

    fn finding(&self, path: &str, message: String) -> Finding {
        Finding::new(&self.nearest(path).origin, path, message)
    }

    /// What is at a path, or, if nothing is, at the path above it.
    fn nearest(&self, path: &str) -> &Node {
        let mut path = path;
        loop {
            if let Some(node) = self.tree.at(path) {
                return node;
            }
            let Some((above, _)) = path.rsplit_once('.') else { return self.tree };
            path = above;
        }
    }
}

/// Whether a name and its values can stand in the head of a message.
pub(super) fn is_header<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> bool {
    HeaderName::try_from(name).is_ok() && values.into_iter().all(|value| HeaderValue::try_from(value).is_ok())
}

/// Whether a text is a URL that can be asked over HTTP.
pub(super) fn is_http_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
