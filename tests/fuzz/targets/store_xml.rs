//! The answers of a store, from which the driver takes keys and dates.

use sampan_driver_object_store::xml;

pub(super) fn run(data: &[u8]) {
    let Ok(document) = std::str::from_utf8(data) else { return };
    let mut total = 0;
    for upload in xml::elements(document, "Upload") {
        total += upload.len();
        for name in ["Key", "UploadId", "Initiated"] {
            if let Some(text) = xml::text(upload, name) {
                assert!(text.len() <= upload.len(), "{text:?} is longer than {upload:?}");
            }
        }
    }
    assert!(total <= document.len());
    let _ = xml::text(document, "IsTruncated");
}
