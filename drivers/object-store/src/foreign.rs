//! Foreign keys: objects of other applications whose keys cannot be ours, such as `a//b` or `a/../b`.
//!
//! The `object_store` crate fails a whole page of a listing for one key that is no valid path. So these entries are cut
//! out of the answer before the crate reads it: listings leave the objects out, and nothing touches them. The elements are
//! those of S3 and Google (`Contents`, `CommonPrefixes`) and of Azure (`Blob`, `BlobPrefix`).

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use object_store::path::Path;
use quick_xml::escape::unescape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Cuts foreign keys out of listings, and warns of the first one.
#[derive(Debug, Default)]
pub(crate) struct ForeignKeys {
    warned: AtomicBool,
}

impl ForeignKeys {
    /// The page of a listing without the entries of foreign keys.
    pub(crate) fn cut(&self, page: Bytes) -> Bytes {
        let Some((rest, keys)) = without_foreign(&page) else { return page };
        for key in keys {
            if self.warned.swap(true, Ordering::Relaxed) {
                tracing::debug!(key, "ignoring a foreign key");
            } else {
                tracing::warn!(
                    key,
                    "the bucket has an object whose key has an empty, `.` or `..` segment or a control character; it is \
                     ignored, as all such objects are: delete or rename it"
                );
            }
        }
        rest.into()
    }
}

/// A page without its foreign keys, and these; `None` if it has none or is no XML.
fn without_foreign(page: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let mut reader = Reader::from_reader(page);
    let (mut rest, mut keys) = (Vec::new(), Vec::new());
    // The end of what is copied or cut, the start of the entry, and its key, if that is foreign.
    let (mut done, mut entry, mut found) = (0, None, None);
    loop {
        let begin = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(tag) if is_entry(tag.name().as_ref()) => (entry, found) = (Some(begin), None),
            // The name comes first in an entry, and may come again in its metadata.
            Event::Start(tag) if entry.is_some() && found.is_none() && is_name(tag.name().as_ref()) => {
                let key = reader.read_text(tag.name()).ok()?;
                found = Some(foreign(std::str::from_utf8(&key).ok()?));
            }
            Event::End(tag) if is_entry(tag.name().as_ref()) => {
                if let (Some(start), Some(Some(key))) = (entry.take(), found.take()) {
                    rest.extend_from_slice(page.get(done..start)?);
                    done = usize::try_from(reader.buffer_position()).ok()?;
                    keys.push(key);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    rest.extend_from_slice(page.get(done..)?);
    (!keys.is_empty()).then_some((rest, keys))
}

fn is_entry(element: &[u8]) -> bool {
    matches!(element, b"Contents" | b"CommonPrefixes" | b"Blob" | b"BlobPrefix")
}

fn is_name(element: &[u8]) -> bool {
    matches!(element, b"Key" | b"Prefix" | b"Name")
}

/// The key that `escaped` is, if it is foreign. A single slash at the end is a folder's marker and harmless.
fn foreign(escaped: &str) -> Option<String> {
    let Ok(key) = unescape(escaped) else { return Some(escaped.to_owned()) };
    // The crate drops a slash at the start, which would make another key of it.
    let is_path = Path::parse(&*key).is_ok() && (!key.starts_with('/') || key.len() == 1);
    (!is_path).then(|| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(page: &str) -> Vec<String> {
        without_foreign(page.as_bytes()).map(|(_, keys)| keys).unwrap_or_default()
    }

    #[test]
    fn entries_of_foreign_keys_are_cut_out() {
        let entry =
            |key: &str| format!("<Contents><Key>{key}</Key><Owner><ID>a//b</ID></Owner></Contents>\n");
        let prefix = |key: &str| format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>");
        let ours = format!("<Prefix>x//</Prefix>{}{}", entry("a/b"), prefix("a/c/"));
        let page = |more: &str| format!("<R xmlns=\"http://s3.amazonaws.com/doc/\">{more}</R>");
        let foreign = entry("a//b") + &entry("/a") + &entry("a/../b") + &entry("a&#x1;") + &entry("&#0;");
        let all = page(&(foreign + &prefix("a//") + &prefix("a/./") + &ours));
        let (rest, keys) = without_foreign(all.as_bytes()).unwrap();
        assert_eq!(keys, ["a//b", "/a", "a/../b", "a\u{1}", "&#0;", "a//", "a/./"]);
        assert_eq!(String::from_utf8(rest).unwrap().replace('\n', ""), page(&ours).replace('\n', ""));
    }

    #[test]
    fn azures_entries_are_known() {
        let page = "<EnumerationResults><Blobs><Blob><Name>a//b</Name><Metadata><Name>x</Name></Metadata></Blob>\
                    <Blob><Name>a/b</Name><Metadata><Name>a//b</Name></Metadata></Blob>\
                    <BlobPrefix><Name>../</Name></BlobPrefix></Blobs><NextMarker/></EnumerationResults>";
        assert_eq!(keys_of(page), ["a//b", "../"]);
    }

    #[test]
    fn folder_markers_and_other_documents_stay() {
        for page in ["<R><Contents><Key>a/b/</Key></Contents></R>", "", "no XML", "<R><Contents><Key>a//b"] {
            assert_eq!(keys_of(page), [""; 0], "{page}");
        }
    }
}
