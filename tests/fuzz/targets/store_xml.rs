//! The answers of a store, from which the driver takes keys and dates.

use sampan_driver_object_store::xml::{self, CopiedPart, UploadsPage};

pub(super) fn run(data: &[u8]) {
    if let Ok(page) = xml::parse::<UploadsPage>(data) {
        let texts =
            page.uploads.iter().flat_map(|upload| [&upload.key, &upload.upload_id, &upload.initiated]);
        let total: usize = texts.flatten().map(String::len).sum();
        assert!(total <= data.len(), "{total} bytes of {}", data.len());
    }
    let _ = xml::parse::<CopiedPart>(data);
}
