//! Variables that weaken the file's protection: allowed, since variables take precedence over the file, and always reported.

use super::defaults::is_blank;
use super::node::Entry;
use super::{Diagnostic, Node};

/// The protection of the file that variables have removed.
#[derive(Default)]
pub(super) struct Weaker {
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) mistakes: Vec<Diagnostic>,
}

/// Compares the file with the merged tree, both before defaults are filled in.
pub(super) fn weaker(file: &Node, merged: &Node) -> Weaker {
    let mut found = Weaker::default();
    found.auth(file, merged);
    found.access(file, merged);
    found.tls(file, merged);
    found
}

impl Weaker {
    fn auth(&mut self, file: &Node, merged: &Node) {
        let (Some(before), Some(after)) = (Choice::of(file), Choice::of(merged)) else { return };
        if after.strength() >= before.strength() {
            return;
        }
        let has_rules = merged.at("access").is_some_and(|access| !is_blank(access));
        let effect = match after.strength() {
            0 if has_rules => {
                "no user can log in with a password, and every client may do what the rules of `access` give to `anonymous`"
            }
            0 => "every client may do everything without a password",
            _ => "the registry accepts any `Authorization` header",
        };
        let message = format!(
            "`{}` replaces the file's `{}` ({}): {effect}",
            after.name, before.name, before.entry.key_origin
        );
        self.warnings.push(Diagnostic::new(&after.entry.value.origin, "auth", message));
    }

    /// A variable can add a rule to those of the file, or replace them.
    fn access(&mut self, file: &Node, merged: &Node) {
        let Some(before) = file.at("access").filter(|access| !is_blank(access)) else { return };
        // An empty section is reported elsewhere.
        let Some(after) = merged.at("access").filter(|access| !is_blank(access)) else { return };
        for key in ["file", "groups", "rules"] {
            let (old, new) = (before.at(key), after.at(key));
            if old != new {
                let origin = &new.unwrap_or(after).origin;
                let message = format!("changes who may do what (the file says otherwise, {})", before.origin);
                self.warnings.push(Diagnostic::new(origin, format!("access.{key}"), message));
            }
        }
    }

    fn tls(&mut self, file: &Node, merged: &Node) {
        let Some(before) = file.at("http.tls").filter(|tls| !is_blank(tls)) else { return };
        let Some(http) = merged.entry("http") else { return };
        let Some(after) = http.value.entry("tls").map(|entry| &entry.value) else {
            let message = format!(
                "replaces the whole section, so that the file's `tls` ({}) no longer applies and the registry serves \
                 plaintext; set `tls` by variables as well",
                before.origin
            );
            let diagnostic = Diagnostic::new(&http.value.origin, "http", message);
            match is_blank(&http.value) {
                true => self.mistakes.push(diagnostic),
                false => self.warnings.push(diagnostic),
            }
            return;
        };
        // An empty section is reported elsewhere.
        if is_blank(after) {
            return;
        }
        let mut warn = |key: &str, message: &str| {
            let origin = &after.at(key).unwrap_or(after).origin;
            let message = format!("{message} (the file says otherwise, {})", before.origin);
            self.warnings.push(Diagnostic::new(origin, format!("http.tls.{key}"), message));
        };
        if asks_for_certificates(before) && !asks_for_certificates(after) {
            let key = if has_authorities(after) { "clientauth" } else { "clientcas" };
            warn(key, "clients no longer need a certificate that verifies");
        }
        if is_strict(before) && !is_strict(after) {
            warn("minimumtls", "the registry accepts TLS 1.2 again");
        }
    }
}

/// The way to authenticate, as it is in the file or the merged tree.
struct Choice<'a> {
    name: String,
    entry: &'a Entry,
}

impl<'a> Choice<'a> {
    fn of(root: &'a Node) -> Option<Self> {
        let entry = root.entry("auth")?;
        if let Some(name) = entry.value.as_text() {
            return Some(Self { name: name.to_lowercase(), entry });
        }
        match entry.value.entries() {
            [only] => Some(Self { name: only.key.to_lowercase(), entry }),
            _ => None,
        }
    }

    fn strength(&self) -> u8 {
        match self.name.as_str() {
            "none" => 0,
            "silly" => 1,
            _ => 2,
        }
    }
}

fn has_authorities(tls: &Node) -> bool {
    tls.at("clientcas")
        .is_some_and(|list| !list.items().is_empty() || list.as_text().is_some_and(|one| !one.is_empty()))
}

fn asks_for_certificates(tls: &Node) -> bool {
    const STRICT: &str = "require-and-verify-client-cert";
    let mode = tls.at("clientauth").and_then(Node::as_text).filter(|mode| !mode.is_empty());
    has_authorities(tls) && mode.is_none_or(|mode| mode.eq_ignore_ascii_case(STRICT))
}

fn is_strict(tls: &Node) -> bool {
    tls.at("minimumtls").and_then(Node::as_text).is_some_and(|version| version.eq_ignore_ascii_case("tls1.3"))
}
