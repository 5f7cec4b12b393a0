//! `PageSlot`: the web page in use, which a reload of the configuration replaces.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sampan_ui::Ui;

/// The web page in use; empty if there is none. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct PageSlot(Arc<ArcSwapOption<Ui>>);

impl PageSlot {
    /// A slot with this page.
    pub fn new(ui: Option<Ui>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(ui)))
    }

    /// Replaces the page. Requests that have begun end with the old one.
    pub fn replace(&self, ui: Option<Ui>) {
        self.0.store(ui.map(Arc::new));
    }

    /// The page as it is now.
    pub(super) fn current(&self) -> Option<Arc<Ui>> {
        self.0.load_full()
    }

    /// Whether the page answers a path of the server.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.load().as_ref().is_some_and(|ui| ui.has(path))
    }
}
