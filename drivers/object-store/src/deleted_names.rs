//! The keys in an answer to the deletion of many objects. They are cut out before the `object_store` crate reads the answer.
//!
//! The crate repeats such a request while its answer has `InternalError` or `SlowDown` anywhere, also in the key of an object
//! that was deleted. Clients choose the names of tags, so one tag could keep a collection from its end. The crate needs the
//! keys of failures alone.

use bytes::Bytes;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// The answer without the keys of objects that were deleted.
pub(crate) fn without_names(answer: Bytes) -> Bytes {
    let says = |word: &[u8]| answer.windows(word.len()).any(|window| window == word);
    if !says(b"InternalError") && !says(b"SlowDown") {
        return answer;
    }
    cut(&answer).map_or(answer, Bytes::from)
}

/// The same; `None` if the answer is no XML.
fn cut(answer: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::from_reader(answer);
    let (mut rest, mut done, mut entry) = (Vec::new(), 0, None);
    loop {
        let begin = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.name().as_ref() == ENTRY => entry = Some(begin),
            Event::End(tag) if tag.name().as_ref() == ENTRY => {
                rest.extend_from_slice(answer.get(done..entry.take()?)?);
                rest.extend_from_slice(b"<Deleted><Key/></Deleted>");
                done = usize::try_from(reader.buffer_position()).ok()?;
            }
            Event::Eof => break,
            _ => {}
        }
    }
    rest.extend_from_slice(answer.get(done..)?);
    Some(rest)
}

const ENTRY: &[u8] = b"Deleted";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &'static str, expected: &'static str) {
        assert_eq!(without_names(Bytes::from_static(answer.as_bytes())), expected);
    }

    #[test]
    fn keys_of_deleted_objects_are_cut_out_and_failures_stay() {
        let failed =
            "<Error><Key>tags/SlowDown/link</Key><Code>InternalError</Code><Message>x</Message></Error>";
        check(
            "<R xmlns=\"x\"><Deleted><Key>tags/InternalError/link</Key><DeleteMarker>true</DeleteMarker></Deleted>\n\
             <Deleted><Key>b</Key></Deleted></R>",
            "<R xmlns=\"x\"><Deleted><Key/></Deleted>\n<Deleted><Key/></Deleted></R>",
        );
        assert_eq!(without_names(Bytes::from_static(failed.as_bytes())), failed);
    }

    #[test]
    fn other_answers_stay() {
        for answer in ["<R><Deleted><Key>a</Key></Deleted></R>", "SlowDown", "<R><Deleted>SlowDown", ""] {
            check(answer, answer);
        }
    }
}
