//! `State`: the state of an unfinished upload, and the object that stores it.
//!
//! The object is four bytes with the length of a header, the header in JSON, and the tail. One request writes it, so header
//! and tail always belong together; parts that it does not name do not count. The tail may be as long as a part, so a reader
//! of the header alone reads only the beginning.

use bytes::{BufMut, Bytes, BytesMut};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use sampan_driver::{DriverPath, MAX_NOTE_BYTES, with_causes};
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, with_limit};
use crate::conditional::put_if;
use crate::error::{Failure, is_precondition};
use crate::tail::Tail;

/// The header of a state object.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Header {
    /// The version of the format.
    v: u32,
    /// A random value, by which a writer tells its own state from another's.
    pub(crate) nonce: String,
    /// The key of the multipart upload.
    pub(crate) key: String,
    /// The multipart upload, if it exists.
    pub(crate) upload: Option<String>,
    /// The start of the multipart upload, in seconds since 1970.
    pub(crate) begun: u64,
    /// The length of every part.
    pub(crate) part_size: u64,
    /// The store's names of the parts.
    pub(crate) parts: Vec<String>,
    /// Set if the parts have become the object at `key`, but the upload did not end; the length of that object.
    pub(crate) assembled: Option<u64>,
    /// A mark in the metadata of the multipart upload that identifies its object.
    #[serde(default)]
    pub(crate) mark: String,
    /// The writers that have begun to end the multipart upload, and may still do so.
    #[serde(default)]
    pub(crate) ends: Ends,
    /// The note of the bytes of this state, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// The writers that have begun to make one object of the parts, and have not reported the outcome.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ends {
    /// None.
    #[default]
    None,
    /// Writers whose object would have the bytes of this state.
    Alike,
    /// Writers that may have added bytes of their own.
    Mixed,
}

impl Header {
    pub(crate) fn new(key: &Path, part_size: u64) -> Self {
        Self {
            v: VERSION,
            nonce: String::new(),
            key: key.to_string(),
            upload: None,
            begun: 0,
            part_size,
            parts: Vec::new(),
            assembled: None,
            mark: format!("{:032x}", rand::random::<u128>()),
            ends: Ends::None,
            note: String::new(),
        }
    }

    /// The note of the bytes, if any.
    pub(crate) fn note(&self) -> Option<Bytes> {
        let digits = self.note.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        bytes.filter(|bytes| !bytes.is_empty()).map(Bytes::from)
    }

    /// Sets the note; returns whether that changed it.
    pub(crate) fn set_note(&mut self, note: &[u8]) -> bool {
        let kept = if note.len() > MAX_NOTE_BYTES { &[] } else { note };
        let digits: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
        let differs = self.note != digits;
        self.note = digits;
        differs
    }
}

/// A state object as read.
#[derive(Debug)]
pub(crate) struct StoredState {
    pub(crate) header: Header,
    /// The tail; empty if it was not read.
    pub(crate) tail: Tail,
    /// The length of an unread tail, in bytes.
    pub(crate) unread: u64,
    pub(crate) version: Saved,
}

impl StoredState {
    /// The state in an object of `size` bytes that begins with `begin`, which must hold the whole header.
    fn parse(mut begin: Bytes, size: u64, version: UpdateVersion) -> Result<Self, Failure> {
        let (header, end) = parse(&begin)?;
        let is_whole = begin.len() as u64 == size;
        let (tail, unread) = match is_whole {
            true => (Tail::from(begin.split_off(end)), 0),
            false => (Tail::default(), size.saturating_sub(end as u64)),
        };
        let version = Saved { version, nonce: header.nonce.clone() };
        Ok(Self { header, tail, unread, version })
    }
}

/// The version of the state object in the store.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    version: UpdateVersion,
    nonce: String,
}

impl Saved {
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }
}

impl Bucket {
    /// The state of the upload staged at `path`, if it exists; includes the tail only if the object is short.
    pub(crate) async fn find_state(&self, path: &DriverPath) -> Result<Option<StoredState>, Failure> {
        self.glimpse(&self.keys.state(path)).await
    }

    /// The state of the upload staged at `path` with its tail, if it exists.
    pub(crate) async fn load_state(&self, path: &DriverPath) -> Result<Option<StoredState>, Failure> {
        let answer = match with_limit(0, self.data.objects().get(&self.keys.state(path))).await {
            Ok(answer) => answer,
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let (version, size) = (version_of(&answer), answer.meta.size);
        let object = with_limit(size, answer.bytes()).await?;
        match StoredState::parse(object, size, version)? {
            found if found.unread == 0 => Ok(Some(found)),
            _ => Err(too_short()),
        }
    }

    /// The header of the state object `key`; `None` if it is gone.
    pub(crate) async fn load_header(&self, key: &Path) -> Result<Option<Header>, Failure> {
        Ok(self.glimpse(key).await?.map(|found| found.header))
    }

    /// The state object `key`, read up to the end of its header.
    async fn glimpse(&self, key: &Path) -> Result<Option<StoredState>, Failure> {
        let mut wanted = HEADER_READ_BYTES;
        loop {
            let read = async {
                let options =
                    GetOptions { range: Some(GetRange::Bounded(0..wanted)), ..GetOptions::default() };
                let answer = self.control.objects().get_opts(key, options).await?;
                let (version, size) = (version_of(&answer), answer.meta.size);
                Ok::<_, Failure>((answer.bytes().await?, size, version))
            };
            let (begin, size, version) = match with_limit(wanted, read).await {
                Ok(read) => read,
                Err(failure) if failure.is_not_found() => return Ok(None),
                Err(failure) => return Err(failure),
            };
            match header_end(&begin) {
                Some(end) if end > wanted && end <= size => wanted = end,
                _ => return StoredState::parse(begin, size, version).map(Some),
            }
        }
    }

    /// Writes the state of the upload staged at `path`, unless another writer did since `before`.
    pub(crate) async fn save_state(
        &self,
        path: &DriverPath,
        header: &mut Header,
        tail: &mut Tail,
        before: Option<&Saved>,
    ) -> Result<Saved, Failure> {
        let key = self.keys.state(path);
        header.nonce = format!("{:032x}", rand::random::<u128>());
        let payload = tail.payload_after(encode(header)?);
        let conditional = self.conditional().await;
        let mode = match before {
            None if conditional.create => PutMode::Create,
            None => PutMode::Overwrite,
            Some(saved) => match conditional.update.mode(&saved.version) {
                Some(mode) => mode,
                None => {
                    self.still(&key, saved).await?;
                    PutMode::Overwrite
                }
            },
        };
        let options = PutOptions { mode, ..Default::default() };
        let size = payload.content_length() as u64;
        match with_limit(size, put_if(self.data.objects(), &key, payload, options)).await {
            Ok(put) => {
                let version = UpdateVersion { e_tag: put.e_tag, version: put.version };
                Ok(Saved { version, nonce: header.nonce.clone() })
            }
            // This very request may have written it before its answer was lost.
            Err(Failure::Store(error)) if is_precondition(&error) => match self.find_state(path).await? {
                Some(found) if found.header.nonce == header.nonce => Ok(found.version),
                // Abandoned by another writer, or finished.
                None if before.is_some() => Err(Failure::UploadLost),
                _ => Err(Failure::Overtaken),
            },
            Err(failure) => Err(failure),
        }
    }

    /// For stores that do not compare: checks that the state is still the loaded one. This leaves a race, but an upload
    /// should have one writer, and the checksum is a further check.
    pub(crate) async fn still(&self, key: &Path, saved: &Saved) -> Result<(), Failure> {
        match self.load_header(key).await? {
            Some(header) if header.nonce == saved.nonce => Ok(()),
            _ => Err(Failure::Overtaken),
        }
    }

    /// Ends the multipart upload of a state staged at `path`, and removes its object unless that is published.
    pub(crate) async fn abort(&self, header: &Header) -> Result<(), Failure> {
        let key = Path::parse(&header.key).map_err(|error| Failure::State(error.to_string()))?;
        if let (Some(upload), None) = (&header.upload, header.assembled) {
            match self.control.multipart().abort_multipart(&key, upload).await.map_err(Failure::from) {
                Err(failure) if !failure.is_not_found() && !is_unknown_upload(&failure) => {
                    return Err(failure);
                }
                _ => {}
            }
        }
        let may_be_there = header.assembled.is_some() || header.ends != Ends::None;
        if may_be_there && header.key.ends_with(ASSEMBLY) {
            self.delete_objects(vec![key]).await?;
        }
        Ok(())
    }
}

/// Whether the store reports an unknown multipart upload, in one of several forms.
pub(crate) fn is_unknown_upload(failure: &Failure) -> bool {
    let Failure::Store(error) = failure else { return false };
    let text = with_causes(error);
    text.contains("NoSuchUpload") || text.contains("Upload not found") || text.contains("UploadNotFound")
}

/// Whether the store reports that parts are missing which it had confirmed.
pub(crate) fn lacks_parts(failure: &Failure) -> bool {
    let Failure::Store(error) = failure else { return false };
    let text = with_causes(error);
    text.contains("<Code>InvalidPart</Code>") || text.contains("<Code>InvalidBlockList</Code>")
}

fn encode(header: &Header) -> Result<Bytes, Failure> {
    let json = serde_json::to_vec(header).map_err(|error| Failure::State(error.to_string()))?;
    let length = u32::try_from(json.len()).map_err(|error| Failure::State(error.to_string()))?;
    let mut bytes = BytesMut::with_capacity(4 + json.len());
    bytes.put_u32(length);
    bytes.extend_from_slice(&json);
    Ok(bytes.freeze())
}

/// The end of the header in an object that begins with `bytes`.
fn header_end(bytes: &[u8]) -> Option<u64> {
    let length = bytes.first_chunk::<4>()?;
    Some(4 + u64::from(u32::from_be_bytes(*length)))
}

/// The header and its end.
fn parse(bytes: &[u8]) -> Result<(Header, usize), Failure> {
    let end = header_end(bytes).and_then(|end| usize::try_from(end).ok()).ok_or_else(too_short)?;
    let json = bytes.get(4..end).ok_or_else(too_short)?;
    let header: Header = serde_json::from_slice(json).map_err(|error| Failure::State(error.to_string()))?;
    match header.v {
        VERSION => Ok((header, end)),
        other => Err(Failure::State(format!("it has version {other} of a newer registry"))),
    }
}

fn too_short() -> Failure {
    Failure::State("it is shorter than its header says".to_owned())
}

fn version_of(answer: &GetResult) -> UpdateVersion {
    UpdateVersion { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() }
}

const VERSION: u32 = 1;

/// The suffix of an upload's own object. No published path ends with it.
const ASSEMBLY: &str = ".tmp";

/// How many bytes to read for the header. It takes about 40 bytes per part.
const HEADER_READ_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_and_a_tail_come_back() {
        let mut header = Header::new(&Path::from("u/data"), 100);
        header.parts = vec!["\"a\"".into(), "b".into()];
        assert!(header.set_note(b"\0 note") && !header.set_note(b"\0 note"));
        let mut tail = Tail::default();
        tail.push(Bytes::from_static(b"the tail"));
        let object = Bytes::from(tail.payload_after(encode(&header).unwrap()));
        let (parsed, end) = parse(&object).unwrap();
        assert_eq!(parsed, header);
        assert_eq!(parsed.note().unwrap(), b"\0 note"[..]);
        assert_eq!(&object[end..], b"the tail");
    }

    /// An earlier version ignores the other fields, and writes states without them.
    #[test]
    fn a_state_of_an_earlier_version_has_no_note() {
        let json = br#"{"v":1,"nonce":"n","key":"u/data","upload":"U","begun":1,"part_size":9,"parts":["a"],"assembled":null}"#;
        let object = [&(json.len() as u32).to_be_bytes()[..], json, b"tail"].concat();
        let (header, end) = parse(&object).unwrap();
        assert_eq!((header.note(), header.ends, header.mark.as_str()), (None, Ends::None, ""));
        assert_eq!(&object[end..], b"tail");
    }

    #[test]
    fn garbage_and_the_future_are_refused() {
        for bytes in [&b""[..], b"\0\0\0", b"\xff\xff\xff\xff{}", b"\0\0\0\x02{}"] {
            assert!(parse(bytes).is_err());
        }
        let mut header = Header::new(&Path::from("x"), 1);
        header.v = 2;
        let error = parse(&encode(&header).unwrap()).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
    }
}
