//! Checks `middleware`: each entry is supported and has valid options.

use super::diagnostics::Diagnostics;
use crate::{Config, Diagnostic};

impl Diagnostics<'_> {
    pub(super) fn middleware(&mut self, config: &Config) {
        let Some(middleware) = &config.middleware else { return };
        for (index, entry) in middleware.storage.iter().enumerate() {
            if let Err(message) = entry.as_storage() {
                let node = self.tree.at("middleware.storage").and_then(|list| list.items().get(index));
                let origin = &node.unwrap_or(self.tree).origin;
                self.mistakes.push(Diagnostic::new(origin, format!("middleware.storage[{index}]"), message));
            }
        }
    }
}
