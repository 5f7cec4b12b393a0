//! `Content-Range` of a chunk: its position in the upload.

use http::HeaderMap;
use http::header::CONTENT_RANGE;
use sampan_engine::ChunkRange;

use crate::http::body::content_length;
use crate::http::error::{ApiError, ErrorCode};

/// The chunk's range; `None` without the header.
///
/// The form is `start-end`, both inclusive; `bytes start-end/*`, the form of RFC 9110, is accepted too.
///
/// # Errors
///
/// `BLOB_UPLOAD_INVALID` for any other form, `SIZE_INVALID` when `Content-Length` disagrees.
pub(in crate::http) fn chunk(headers: &HeaderMap) -> Result<Option<ChunkRange>, ApiError> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let chunk = value.to_str().ok().and_then(parse).ok_or_else(|| {
        let detail = format!("Content-Range {value:?} is not of the form `<start>-<end>`");
        ApiError::new(ErrorCode::BlobUploadInvalid).with_reason(detail)
    })?;
    let expected = chunk.end - chunk.start + 1;
    match content_length(headers) {
        Some(announced) if announced != expected => {
            let detail = format!("Content-Range is of {expected} bytes, but Content-Length is {announced}");
            Err(ApiError::new(ErrorCode::SizeInvalid).with_reason(detail))
        }
        _ => Ok(Some(chunk)),
    }
}

fn parse(text: &str) -> Option<ChunkRange> {
    let range = match text.strip_prefix("bytes") {
        Some(rest) => rest.trim_start_matches([' ', '=']),
        None => text,
    };
    let range = range.split_once('/').map_or(range, |(range, _total)| range);
    let (start, end) = range.trim().split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    // An end of `u64::MAX` would overflow the length.
    (start <= end && end < u64::MAX).then_some(ChunkRange { start, end })
}

/// Parses digits only; the standard parser would accept a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_parsed() {
        for text in ["5-9", "bytes 5-9/*", "bytes 5-9/100", "bytes=5-9", "5-9/10"] {
            assert_eq!(parse(text), Some(ChunkRange { start: 5, end: 9 }), "{text}");
        }
        assert_eq!(parse("0-0"), Some(ChunkRange { start: 0, end: 0 }));
    }

    #[test]
    fn any_other_form_is_malformed() {
        for text in [
            "",
            "-",
            "5",
            "5-",
            "-5",
            "a-b",
            "9-5",
            "+5-9",
            "5-+9",
            "5--9",
            "5-9-12",
            "0x5-9",
            "bytes",
            "bytes */10",
            "0-18446744073709551615",
            "0-18446744073709551616",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_content_length_that_disagrees_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, "0-4".parse().unwrap());
        assert!(chunk(&headers).unwrap().is_some());
        headers.insert("content-length", "5".parse().unwrap());
        assert!(chunk(&headers).unwrap().is_some());
        headers.insert("content-length", "6".parse().unwrap());
        assert_eq!(chunk(&headers).unwrap_err().code(), ErrorCode::SizeInvalid);
    }
}
