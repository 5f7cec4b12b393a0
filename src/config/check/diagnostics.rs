//! `Diagnostics`: the mistakes and warnings of the checks, each with its place in the tree.

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::{Diagnostic, Node};

/// The mistakes and warnings so far.
pub(super) struct Diagnostics<'a> {
    pub(super) tree: &'a Node,
    pub(super) mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn new(tree: &'a Node) -> Self {
        Self { tree, mistakes: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn into_mistakes_and_warnings(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (self.mistakes, self.warnings)
    }

    pub(super) fn mistake(&mut self, path: &str, message: String) {
        let diagnostic = self.diagnostic(path, message);
        self.mistakes.push(diagnostic);
    }

    pub(super) fn warning(&mut self, path: &str, message: &str) {
        let diagnostic = self.diagnostic(path, message.to_owned());
        self.warnings.push(diagnostic);
    }

    fn diagnostic(&self, path: &str, message: String) -> Diagnostic {
        Diagnostic::new(&self.nearest(path).origin, path, message)
    }

    /// The node at a path, or else the nearest node above it.
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

/// Whether a name and its values form a valid HTTP header.
pub(super) fn is_header<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> bool {
    HeaderName::try_from(name).is_ok() && values.into_iter().all(|value| HeaderValue::try_from(value).is_ok())
}

/// Whether a text is an HTTP or HTTPS URL.
pub(super) fn is_http_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
