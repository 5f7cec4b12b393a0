//! The answers of S3 that the driver asks for itself, where the `object_store` crate has no call.
//!
//! Elements are those of `ListMultipartUploads` and `UploadPartCopy` in the S3 API reference. All are optional: stores leave
//! some out.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Part of the multipart uploads of a bucket.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub struct UploadsPage {
    /// The uploads.
    #[serde(rename = "Upload")]
    pub uploads: Vec<ListedUpload>,
    /// Whether more uploads follow.
    pub is_truncated: bool,
    /// The position in the keys behind this page.
    pub next_key_marker: Option<String>,
    /// The position in the uploads of that key.
    pub next_upload_id_marker: Option<String>,
}

/// A multipart upload under way.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub struct ListedUpload {
    /// The key of its object.
    pub key: Option<String>,
    /// Its name in the store.
    pub upload_id: Option<String>,
    /// Its begin, in RFC 3339.
    pub initiated: Option<String>,
}

/// The answer to the copy of a part.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct CopiedPart {
    /// The entity tag of the part, with its quotes.
    #[serde(rename = "ETag")]
    pub e_tag: Option<String>,
}

/// Reads an answer, whatever its root element is called.
///
/// # Errors
///
/// When it is no XML, is cut short, or an element has another form.
pub fn parse<T: DeserializeOwned>(document: &[u8]) -> Result<T, quick_xml::DeError> {
    quick_xml::de::from_reader(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_found_however_they_are_quoted() {
        for tag in ["\"abc\"", "&quot;abc&quot;", "&#34;abc&#34;"] {
            let document = format!("<?xml version=\"1.0\"?><R xmlns=\"x\"><ETag>{tag}</ETag></R>");
            assert_eq!(parse::<CopiedPart>(document.as_bytes()).unwrap().e_tag.as_deref(), Some("\"abc\""));
        }
        let error = b"<Error><Code>InternalError</Code></Error>";
        assert_eq!(parse::<CopiedPart>(error).unwrap().e_tag, None);
    }

    #[test]
    fn a_page_of_uploads_is_read_whatever_stands_between_them() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>b</Bucket><KeyMarker/>
              <Upload><Key>a</Key><UploadId>1</UploadId><Owner><ID>o</ID></Owner></Upload>
              <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>
              <Upload><Key>b&amp;c</Key><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>
              <NextKeyMarker>b&amp;c</NextKeyMarker><IsTruncated>true</IsTruncated>
            </ListMultipartUploadsResult>"#;
        let page: UploadsPage = parse(document).unwrap();
        let keys: Vec<_> = page.uploads.iter().map(|upload| upload.key.as_deref()).collect();
        assert_eq!(keys, [Some("a"), Some("b&c")]);
        assert_eq!(page.uploads[0].upload_id.as_deref(), Some("1"));
        assert!(page.is_truncated && page.next_key_marker.as_deref() == Some("b&c"), "{page:?}");
        assert_eq!(page.next_upload_id_marker, None);
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        for document in
            ["", "<R>", "<R><Upload><Key>a</Key>", "not XML", "<R><IsTruncated>x</IsTruncated></R>"]
        {
            assert!(parse::<UploadsPage>(document.as_bytes()).is_err(), "{document:?}");
        }
    }
}
