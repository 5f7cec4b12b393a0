//! `Findings`: the mistakes and warnings of the checks, each with its place in the tree.

use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use super::{Diagnostic, Node, Origin};

/// The mistakes and warnings so far.
pub(crate) struct Findings<'a> {
    pub(crate) tree: &'a Node,
    pub(crate) mistakes: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(tree: &'a Node) -> Self {
        Self { tree, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// Reports a mistake about the key `path`, at its place or at the nearest one above.
    pub(crate) fn mistake(&mut self, path: &str, message: impl Into<String>) {
        self.mistakes.push(Diagnostic::new(self.place(path), path, message));
    }

    /// Reports an oddity about the key `path`, at its place or at the nearest one above.
    pub(crate) fn warning(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(Diagnostic::new(self.place(path), path, message));
    }

    /// The place of the key `path`, or of the nearest one above.
    pub(crate) fn place(&self, path: &str) -> &'a Origin {
        &self.nearest(path).origin
    }

    fn nearest(&self, path: &str) -> &'a Node {
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
pub(crate) fn is_header<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> bool {
    HeaderName::try_from(name).is_ok() && values.into_iter().all(|value| HeaderValue::try_from(value).is_ok())
}

/// Whether a text is an HTTP or HTTPS URL.
pub(crate) fn is_http_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a URL names this machine.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
