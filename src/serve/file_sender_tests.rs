//! Tests of [`super::FileSender`]: how it splits a write, and which writes it refuses.

use std::io::Write;

use super::*;

fn file() -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 100]).unwrap();
    Arc::new(file)
}

fn next(files: &FileSender, buffers: &[&[u8]]) -> Result<String, String> {
    let buffers: Vec<IoSlice<'_>> = buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
    match files.next(&buffers) {
        Ok(WriteStep::Buffers(count)) => Ok(format!("{count} buffers")),
        Ok(WriteStep::Part(part)) => Ok(format!("{:?}", part.range)),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn buffers_before_a_placeholder_are_written_before_the_part() {
    let files = FileSender::default();
    assert_eq!(next(&files, &[b"head", b"body"]), Ok("2 buffers".to_owned()));
    let placeholder = files.announce(&file(), &mut (10..90));
    assert_eq!(placeholder.len(), 80);
    assert_eq!(next(&files, &[b"head", &placeholder, b"tail"]), Ok("1 buffers".to_owned()));
    assert_eq!(next(&files, &[b"", &placeholder, b"tail"]), Ok("10..90".to_owned()));
    files.sent(30);
    assert_eq!(next(&files, &[&placeholder[30..], b"tail"]), Ok("40..90".to_owned()));
    files.sent(50);
    assert_eq!(next(&files, &[b"tail"]), Ok("1 buffers".to_owned()));
}

#[test]
fn a_long_range_is_announced_in_pieces() {
    let (files, file) = (FileSender::default(), file());
    let (mut rest, mut lengths) = (0..2 * MAX_BYTES as u64 + 1, Vec::new());
    while !rest.is_empty() {
        lengths.push(files.announce(&file, &mut rest).len());
    }
    assert_eq!(lengths, [MAX_BYTES, MAX_BYTES, 1]);
}

#[test]
fn a_placeholder_is_never_sent_as_content() {
    let files = FileSender::default();
    let placeholder = files.announce(&file(), &mut (0..50));
    let zeros = vec![0; 50];
    let missing = "a part of a file was announced, but its placeholder is not in the buffers";
    assert_eq!(next(&files, &[b"head", &zeros]), Err(missing.to_owned()), "copied together");
    assert_eq!(
        next(&files, &[&placeholder[..20]]),
        Err("a placeholder of 20 bytes is written for 50 bytes of a file".to_owned())
    );
    files.sent(50);
    assert_eq!(
        next(&files, &[b"head", &placeholder]),
        Err("a placeholder is written but no part of a file was announced".to_owned())
    );
}
