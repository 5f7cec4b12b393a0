//! `tags` and `validation`: what a list shows, and what may be in it.

use super::diagnostics::Diagnostics;
use crate::config::{Config, Node};

impl Diagnostics<'_> {
    /// Distribution takes a negative `maxentries` for the default and refuses a negative `maxtags`.
    pub(super) fn listings(&mut self, config: &Config) {
        let negative =
            self.tree.at("tags.maxtags").and_then(Node::as_text).is_some_and(|text| text.starts_with('-'));
        if negative {
            self.mistake("tags.maxtags", "cannot be negative".to_owned());
        }
        if config.validation.enabled && config.validation.disabled {
            self.warning("validation.disabled", "has no effect, since `validation.enabled` is true");
        }
    }
}
