//! Checks `notifications`: each endpoint has a valid URL and valid headers.

use super::diagnostics::{Diagnostics, is_header, is_http_url};
use crate::{Config, Diagnostic, Node};
use sampan_shown_url::ShownUrl;

impl Diagnostics<'_> {
    pub(super) fn notifications(&mut self, config: &Config) {
        let Some(notifications) = &config.notifications else { return };
        let nodes = self.tree.at("notifications.endpoints").map(Node::items).unwrap_or_default();
        for (index, endpoint) in notifications.endpoints.iter().enumerate() {
            if endpoint.disabled {
                continue;
            }
            let path = format!("notifications.endpoints[{index}]");
            let node = nodes.get(index).unwrap_or(self.tree);
            let mistake = |key: &str, message: String| {
                let origin = &node.at(key).unwrap_or(node).origin;
                Diagnostic::new(origin, format!("{path}.{key}"), message)
            };
            let url = endpoint.url.as_deref().unwrap_or_default();
            if !is_http_url(url) {
                let found = ShownUrl::new(url);
                let message = format!(
                    "expected the URL that receives events, such as `https://portal.example.com/events`, found `{found}`"
                );
                self.mistakes.push(mistake("url", message));
            }
            for (name, values) in &endpoint.headers {
                if !is_header(name, values.iter().map(|value| value.expose().as_str())) {
                    self.mistakes.push(mistake("headers", format!("`{name}` is not a valid HTTP header")));
                }
            }
        }
    }
}
