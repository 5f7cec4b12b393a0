//! `Content-Range` of a chunk: the first ten bytes of an upload are taken for `0-9` and for nothing else.

use std::cell::LazyCell;

use super::service::Service;

const CHUNK: &[u8] = b"0123456789";

thread_local! {
    static SERVICE: LazyCell<Service> = LazyCell::new(Service::new);
}

pub(super) fn run(data: &[u8]) {
    SERVICE.with(|service| {
        let begun = service.call("POST", "/v2/app/blobs/uploads/", &[], b"").expect("a request");
        let upload = begun.header("location").expect("a location").to_owned();
        for length in [true, false] {
            let mut headers = vec![("content-range", data)];
            if length {
                headers.push(("content-length", b"10"));
            }
            let Some(answer) = service.call("PATCH", &upload, &headers, CHUNK) else { continue };
            if answer.status == 202 {
                let text = std::str::from_utf8(data).expect("text");
                let range = text.split('/').next().and_then(|range| range.split_once('-'));
                let number = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
                let (first, last) =
                    range.map(|(first, last)| (number(first), number(last))).expect("a range");
                let is_right =
                    first.trim_start_matches('0').is_empty() && last.trim_start_matches('0') == "9";
                assert!(is_right, "{text:?} was taken");
                assert_eq!(answer.header("range"), Some("0-9"), "{answer:?}");
                break;
            }
            assert!([400, 416].contains(&answer.status.as_u16()), "{answer:?}");
        }
        let ended = service.call("DELETE", &upload, &[], b"").expect("a request");
        assert!([204, 404].contains(&ended.status.as_u16()), "{ended:?}");
    });
}
