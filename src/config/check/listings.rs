//! Checks `tags` and `validation`.

use super::diagnostics::Diagnostics;
use crate::{Config, Node};

impl Diagnostics<'_> {
    /// Distribution reads a negative `maxentries` as the default and refuses a negative `maxtags`.
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
