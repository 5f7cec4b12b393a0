//! Reads the file in which Distribution's cache of another registry keeps when it forgets what, and leaves it alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::{StorageDriver, StorageDriverExt};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::UseTable;
use super::use_table::{hour_of, key};
use crate::Result;
use crate::layout;
use crate::oci::Digest;
use sampan_host::blocking::on_blocking_pool;

/// An entry of the file, whose key is `<repository>@<digest>`.
#[derive(Deserialize)]
struct Scheduled {
    #[serde(rename = "ExpiryData")]
    expiry: String,
    /// 0 for a blob, 1 for a manifest.
    #[serde(rename = "EntryType")]
    kind: u8,
}

const MANIFEST: u8 = 1;

/// The longest file that is read, in bytes: some 200,000 entries.
const MAX_BYTES: u64 = 64 << 20;

/// Records when each manifest in the file was first used: `ttl` before Distribution would forget it.
pub(super) async fn load(table: &UseTable, driver: &Arc<dyn StorageDriver>, ttl: Duration) -> Result<()> {
    let Some((_, entries)) = scheduled_manifests(driver).await? else { return Ok(()) };
    for (name, digest, expiry) in entries {
        let first_used = expiry.checked_sub(ttl).unwrap_or(SystemTime::UNIX_EPOCH);
        table.raise(key(&name, &digest), hour_of(first_used));
    }
    Ok(())
}

/// When the file was written, and its manifests with the time at which Distribution would forget each. A file that is too long or
/// cannot be read is left out, with a warning.
pub(crate) async fn scheduled_manifests(
    driver: &Arc<dyn StorageDriver>,
) -> Result<Option<(SystemTime, Vec<(String, Digest, SystemTime)>)>> {
    let path = layout::scheduler_state();
    let Some(file) = driver.stat_if_any(&path).await? else { return Ok(None) };
    let entries = match file.size_bytes > MAX_BYTES {
        true => Err(format!("it has {} bytes", file.size_bytes)),
        false => {
            let Some(content) = driver.get_content_if_any(&path).await? else { return Ok(None) };
            on_blocking_pool(move || parse(&content)).await.map_err(|error| error.to_string())
        }
    };
    match entries {
        Ok(entries) => Ok(Some((file.modified, entries))),
        Err(reason) => {
            tracing::warn!(%path, %reason, "{path} of Distribution cannot be read, and is left out: {reason}");
            Ok(None)
        }
    }
}

/// The manifests in the file, and when Distribution would forget each. Entries that make no sense are left out.
fn parse(content: &[u8]) -> serde_json::Result<Vec<(String, Digest, SystemTime)>> {
    let entries: HashMap<String, Scheduled> = serde_json::from_slice(content)?;
    let manifests = entries.into_iter().filter(|(_, entry)| entry.kind == MANIFEST);
    let manifests = manifests.filter_map(|(key, entry)| {
        let (name, digest) = key.split_once('@')?;
        let expiry = OffsetDateTime::parse(&entry.expiry, &Rfc3339).ok()?;
        Some((name.to_owned(), digest.parse().ok()?, expiry.into()))
    });
    Ok(manifests.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    /// As docker-registry 2.8.2 writes it.
    #[test]
    fn the_manifests_are_read_and_blobs_and_nonsense_are_not() {
        let [manifest, blob] = [Digest::sha256_of(b"manifest"), Digest::sha256_of(b"blob")];
        let content = format!(
            r#"{{"library/a@{manifest}":{{"Key":"library/a@{manifest}","ExpiryData":"2026-11-29T12:30:15.123456789+01:00","EntryType":1}},
                "library/a@{blob}":{{"Key":"library/a@{blob}","ExpiryData":"2026-11-29T12:30:15Z","EntryType":0}},
                "x":{{"Key":"x","ExpiryData":"never","EntryType":1}}}}"#
        );
        let found = parse(content.as_bytes()).unwrap();
        let [(name, digest, expiry)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((name.as_str(), digest), ("library/a", &manifest));
        let hour: SystemTime = OffsetDateTime::parse("2026-11-29T11:00:00Z", &Rfc3339).unwrap().into();
        let table = UseTable::new(Clock::new(move || hour + Duration::from_secs(7200)));
        table.raise(key(name, digest), hour_of(*expiry));
        assert_eq!(table.last_used(&"library/a".parse().unwrap(), &manifest), Some(hour));
        assert!(parse(b"{").is_err());
    }
}
