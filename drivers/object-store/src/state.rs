//! `State`: what is known about an unfinished upload, and the object that keeps it.
//!
//! The object is four bytes with the length of a header, the header in JSON, and the tail. It is written by one request, so
//! header and tail always belong together; parts that it does not name do not count. The tail may be as long as a part, so who
//! needs the header alone reads no more than its beginning.

use bytes::{BufMut, Bytes, BytesMut};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use sampan_driver::{DriverPath, MAX_NOTE_BYTES};
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
    /// Different each time, so that a writer knows its own state from another's.
    pub(crate) nonce: String,
    /// The key that the multipart upload is made at.
    pub(crate) key: String,
    /// The multipart upload, once there is one.
    pub(crate) upload: Option<String>,
    /// When the multipart upload began, in seconds since 1970.
    pub(crate) begun: u64,
    /// The length of every part.
    pub(crate) part_size: u64,
    /// What the store calls the parts.
    pub(crate) parts: Vec<String>,
    /// Set when the parts have become the object at `key`, which then has this length, but the upload did not end.
    pub(crate) assembled: Option<u64>,
    /// What the multipart upload bears as a piece of metadata, so that the object that it becomes is known.
    #[serde(default)]
    pub(crate) mark: String,
    /// Who has begun to end the multipart upload, and may still do so.
    #[serde(default)]
    pub(crate) ends: Ends,
    /// The note of the bytes that this state is of, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// The writers that have begun to make the parts one object, and did not tell what came of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ends {
    /// There was none.
    #[default]
    None,
    /// All of them would make an object of the bytes of this state.
    Alike,
    /// Some added bytes of their own.
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

    /// The note of the bytes, unless there is none.
    pub(crate) fn note(&self) -> Option<Bytes> {
        let digits = self.note.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        bytes.filter(|bytes| !bytes.is_empty()).map(Bytes::from)
    }

    /// Puts `note` in the place of the one before; tells whether that changed anything.
    pub(crate) fn set_note(&mut self, note: &[u8]) -> bool {
        let kept = if note.len() > MAX_NOTE_BYTES { &[] } else { note };
        let digits: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
        let differs = self.note != digits;
        self.note = digits;
        differs
    }
}

/// A state object as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    /// The tail; empty when it was not read.
    pub(crate) tail: Tail,
    /// The length of a tail that was not read, in bytes.
    pub(crate) unread: u64,
    pub(crate) version: Saved,
}

impl Found {
    /// The object of `size` bytes that begins with `begin`, which must have the whole header.
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

/// Which state object is in the store.
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
    /// The state of the upload staged at `path`, if there is one; with its tail only if the object is short.
    pub(crate) async fn find_state(&self, path: &DriverPath) -> Result<Option<Found>, Failure> {
        self.glimpse(&self.keys.state(path)).await
    }

    /// The state of the upload staged at `path` with its tail, if there is one.
    pub(crate) async fn load_state(&self, path: &DriverPath) -> Result<Option<Found>, Failure> {
        let answer = match with_limit(0, self.data.objects().get(&self.keys.state(path))).await {
            Ok(answer) => answer,
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let (version, size) = (version_of(&answer), answer.meta.size);
        let object = with_limit(size, answer.bytes()).await?;
        match Found::parse(object, size, version)? {
            found if found.unread == 0 => Ok(Some(found)),
            _ => Err(too_short()),
        }
    }

    /// The header of the state object `key`; `None` when it is gone.
    pub(crate) async fn load_header(&self, key: &Path) -> Result<Option<Header>, Failure> {
        Ok(self.glimpse(key).await?.map(|found| found.header))
    }

    /// The state object `key`, read up to the end of its header.
    async fn glimpse(&self, key: &Path) -> Result<Option<Found>, Failure> {
        let mut wanted = GLIMPSE;
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
                _ => return Found::parse(begin, size, version).map(Some),
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
        let mode = match before {
            None if self.conditional.create => PutMode::Create,
            None => PutMode::Overwrite,
            Some(saved) => match self.conditional.update.mode(&saved.version) {
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
            // It may have been this very request, sent again after its answer was lost.
            Err(Failure::Store(error)) if is_precondition(&error) => match self.find_state(path).await? {
                Some(found) if found.header.nonce == header.nonce => Ok(found.version),
                // Given up by somebody else, or finished.
                None if before.is_some() => Err(Failure::UploadLost),
                _ => Err(Failure::Overtaken),
            },
            Err(failure) => Err(failure),
        }
    }

    /// For stores that do not compare: sees whether the state is still the one that was loaded. Not airtight, but two
    /// writers of one upload are not meant to be, and the checksum stands behind this.
    pub(crate) async fn still(&self, key: &Path, saved: &Saved) -> Result<(), Failure> {
        match self.load_header(key).await? {
            Some(header) if header.nonce == saved.nonce => Ok(()),
            _ => Err(Failure::Overtaken),
        }
    }

    /// Ends the multipart upload of a state staged at `path`, and removes what it has become, unless that is published.
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

/// Whether the store says that it does not know a multipart upload, in one of the ways in which stores say it.
pub(crate) fn is_unknown_upload(failure: &Failure) -> bool {
    let Failure::Store(error) = failure else { return false };
    let text = crate::error::chain(error);
    text.contains("NoSuchUpload") || text.contains("Upload not found") || text.contains("UploadNotFound")
}

/// Whether the store says that it does not have the parts that it once said it had.
pub(crate) fn lacks_parts(failure: &Failure) -> bool {
    let Failure::Store(error) = failure else { return false };
    let text = crate::error::chain(error);
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

/// Where the header ends in an object that begins with `bytes`.
fn header_end(bytes: &[u8]) -> Option<u64> {
    let length = bytes.first_chunk::<4>()?;
    Some(4 + u64::from(u32::from_be_bytes(*length)))
}

/// The header, and where it ends.
fn parse(bytes: &[u8]) -> Result<(Header, usize), Failure> {
    let end = header_end(bytes).and_then(|end| usize::try_from(end).ok()).ok_or_else(too_short)?;
    let json = bytes.get(4..end).ok_or_else(too_short)?;
    let header: Header = serde_json::from_slice(json).map_err(|error| Failure::State(error.to_string()))?;
    match header.v {
        VERSION => Ok((header, end)),
        other => Err(Failure::State(format!("it is of version {other}, made by a newer registry"))),
    }
}

fn too_short() -> Failure {
    Failure::State("it is shorter than it says".to_owned())
}

fn version_of(answer: &GetResult) -> UpdateVersion {
    UpdateVersion { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() }
}

const VERSION: u32 = 1;

/// What the key of an object that is an upload's own ends with. No path that is published does.
const ASSEMBLY: &str = ".tmp";

/// How many bytes of a state object are read for its header. It has 40 bytes or so for each part.
const GLIMPSE: u64 = 64 << 10;

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

    /// A registry of an earlier version that is still there ignores the rest, and writes states without it.
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
