//! A list of images of another program: it is read, or refused with lines and reasons; its versions are ranges, never patterns.
//!
//! The bytes are the file.

use sampan::config::{Origin, read_image_list};

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The parser finds the end of a text behind its last line.
    let last = text.split(['\n', '\r']).count() + 1;
    let is_in_file = |origin: &Origin| matches!(origin, Origin::File { line, .. } if *line <= last);
    match read_image_list("list", text) {
        Ok(None) => {}
        Ok(Some(images)) => {
            for listed in images {
                assert!(is_in_file(&listed.origin), "{listed:?} is outside the file");
                assert!(!listed.image.is_empty(), "{listed:?} names nothing");
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                assert!(is_in_file(&mistake.origin) && !mistake.message.is_empty(), "{mistake:?}");
            }
        }
    }
    range(text);
}

/// The text as the versions of skopeo's list.
fn range(text: &str) {
    let quoted: String = text.chars().flat_map(|c| if c == '\'' { vec![c, c] } else { vec![c] }).collect();
    let Ok(Some(images)) = read_image_list("list", &format!("h:\n  images-by-semver: {{a: '{quoted}'}}\n"))
    else {
        return;
    };
    for listed in images.iter().filter(|listed| listed.host.as_deref() == Some("h")) {
        let range = listed.image.strip_prefix("a:").unwrap_or_default();
        let is_range = range.starts_with(['<', '>', '=', '^'])
            && range.chars().all(|c| c.is_ascii_digit() || "<>=^~.,".contains(c));
        assert!(is_range, "{text:?} became {range:?}");
    }
}
