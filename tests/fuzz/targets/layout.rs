//! Paths of the store: each file has one name, so that the collector never takes one file for another.

use sampan_driver::DriverPath;
use sampan_engine::layout::Entry;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = text.parse::<DriverPath>() else { return };
    assert_eq!(path.as_str(), text);
    assert!(path.components().all(|component| component != "." && component != ".."), "{text}");
    if let Some(entry) = Entry::parse(&path) {
        assert_eq!(entry.path(), path, "{entry:?}");
    }
}
