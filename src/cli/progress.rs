//! Shows how far a transfer is: a bar on a terminal, else a line every ten seconds, or JSON.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sampan_driver::HumanSize;
use sampan_transfer::Progress;
use serde_json::json;

use super::terminal::{count, warn};

/// How progress is shown, on standard error.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum ProgressMode {
    /// A bar on a terminal, else a line every ten seconds
    #[default]
    Auto,
    /// A JSON document every second, one a line
    Json,
    /// Not at all
    None,
}

/// The view of a transfer, until it is dropped.
pub(super) struct ProgressView {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

/// The size of a whole transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransferSize {
    /// 0 if it is not known.
    pub(super) bytes: u64,
    pub(super) images: Option<u64>,
}

impl TransferSize {
    /// A whole whose length is not known.
    pub(super) const UNKNOWN: Self = Self { bytes: 0, images: None };

    fn known(self) -> Option<u64> {
        (self.bytes > 0).then_some(self.bytes)
    }
}

/// Shows `progress` until the result is dropped.
pub(super) fn show(mode: ProgressMode, progress: Arc<Progress>, whole: TransferSize) -> ProgressView {
    let (stop, stopped) = channel();
    let view = match mode {
        ProgressMode::None => return ProgressView { stop: None, thread: None, bar: None },
        ProgressMode::Json => View::Json,
        ProgressMode::Auto if io::stderr().is_terminal() => View::Bar(bar(whole)),
        ProgressMode::Auto => View::Lines,
    };
    let bar = match &view {
        View::Bar(bar) => Some(bar.clone()),
        View::Lines | View::Json => None,
    };
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(view.interval()) == Err(RecvTimeoutError::Timeout) {
            view.update(&progress, whole);
        }
        view.finish(&progress, whole);
    });
    ProgressView { stop: Some(stop), thread: Some(thread), bar }
}

impl ProgressView {
    /// Prints something else meanwhile, above the bar.
    pub(super) fn beside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Nothing depends on what was shown.
            let _ = thread.join();
        }
    }
}

enum View {
    Bar(ProgressBar),
    Lines,
    Json,
}

impl View {
    fn interval(&self) -> Duration {
        match self {
            Self::Bar(_) => Duration::from_millis(100),
            Self::Lines => Duration::from_secs(10),
            Self::Json => Duration::from_secs(1),
        }
    }

    fn update(&self, progress: &Progress, whole: TransferSize) {
        let (bytes, images) =
            (progress.bytes.load(Ordering::Relaxed), progress.images.load(Ordering::Relaxed));
        let shown_images = match (whole.images, images) {
            (Some(all), _) => Some(format!("{images} of {all} images")),
            // Not counted.
            (None, 0) => None,
            (None, _) => Some(count(images, "image")),
        };
        match self {
            Self::Bar(bar) => {
                bar.set_position(bytes);
                if let Some(images) = shown_images {
                    bar.set_message(images);
                }
            }
            Self::Lines => {
                let images = shown_images.map(|images| format!(", {images}")).unwrap_or_default();
                let of = whole.known().map(|all| format!(" of {}", HumanSize(all))).unwrap_or_default();
                warn(format!("{}{of}{images}", HumanSize(bytes)));
            }
            Self::Json => warn(
                json!({
                    "event": "progress",
                    "bytes": bytes,
                    "totalBytes": whole.known(),
                    "images": images,
                    "totalImages": whole.images,
                })
                .to_string(),
            ),
        }
    }

    fn finish(&self, progress: &Progress, whole: TransferSize) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines => {}
            Self::Json => self.update(progress, whole),
        }
    }
}

fn bar(whole: TransferSize) -> ProgressBar {
    let (bar, template) = match whole.known() {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left  {msg}",
        ),
        None => {
            (ProgressBar::no_length(), "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}  {msg}")
        }
    };
    // The template is a constant; a bar of the default style would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
