//! The files below `sampan/`, which Distribution ignores: `Entry` from a path.

use super::entry::{digest, parse_number, uuid};
use super::{Entry, OWN};

/// The entry at a path below [`OWN`]; `None` when the file does not belong to the layout.
pub(super) fn parse(rest: &str) -> Option<Entry> {
    debug_assert!(OWN.ends_with('/'), "a path below it begins with a name");
    match rest.split_once('/') {
        None => match rest {
            "id" => Some(Entry::StoreId),
            "moved" => Some(Entry::Moved),
            "reserve" => Some(Entry::Reserve),
            "survey" => Some(Entry::Survey),
            _ => None,
        },
        Some(("gc", "doomed")) => Some(Entry::CollectionDoomed),
        Some(("gc", "last")) => Some(Entry::CollectionLast),
        Some(("gc", "run")) => Some(Entry::CollectionRun),
        Some(("gc", name)) => of_run(name),
        Some(("purge", number)) => parse_number(number).map(Entry::UploadPurge),
        Some(("snapshots", "of")) => Some(Entry::BackupOf),
        Some(("snapshots", seconds)) => parse_number(seconds).map(Entry::Snapshot),
        Some(("surveys", number)) => parse_number(number).map(Entry::SurveyTurn),
        Some(("verify", "state")) => Some(Entry::Verification),
        Some(("verify", rest)) => {
            rest.strip_prefix("turns/").and_then(parse_number).map(Entry::VerificationTurn)
        }
        Some(("damaged", rest)) => damaged(rest),
        Some(("access", rest)) => rest.strip_prefix("tokens/").and_then(access_token),
        Some(("removed", rest)) => removed(rest),
        Some(("dates", rest)) => Some(Entry::TagDates(rest.strip_suffix("/_tags")?.parse().ok()?)),
        Some(("cache", rest)) => match rest.split_once('/')? {
            ("compared", replica) => uuid(replica).map(Entry::CacheComparisons),
            ("offline", replica) => uuid(replica).map(Entry::CacheOffline),
            ("used", replica) => uuid(replica).map(Entry::CacheUses),
            _ => None,
        },
        Some(("sync", rest)) => {
            let (job, number) = rest.split_once('/')?;
            Some(Entry::SyncRun(job.parse().ok()?, parse_number(number)?))
        }
        Some(("migration", "begun")) => Some(Entry::MigrationBegun),
        Some(("migration", "tokens")) => Some(Entry::TokenRestore),
        Some(("migration", rest)) => rest.strip_prefix("staged/").and_then(uuid).map(Entry::MigrationStaged),
        Some(_) => None,
    }
}

fn of_run(name: &str) -> Option<Entry> {
    let (what, rest) = name.split_once('-')?;
    let (run, number) = rest.rsplit_once('-')?;
    let run = run.parse().ok()?;
    let number = parse_number(number)?;
    match what {
        "run" => Some(Entry::CollectionNotice(run, number)),
        "doomed" => Some(Entry::CollectionPending(run, number)),
        _ => None,
    }
}

fn damaged(rest: &str) -> Option<Entry> {
    let [algorithm, hex, ms, what] = rest.split('/').collect::<Vec<_>>().try_into().ok()?;
    let (digest, ms) = (digest(algorithm, hex)?, parse_number(ms)?);
    match what {
        "data" => Some(Entry::Damaged(digest, ms)),
        "note" => Some(Entry::DamagedNote(digest, ms)),
        _ => None,
    }
}

fn access_token(rest: &str) -> Option<Entry> {
    let (id, what) = rest.split_once('/')?;
    let id = id.parse().ok()?;
    match what {
        "ends" => Some(Entry::AccessTokenEnds(id)),
        "record" => Some(Entry::AccessTokenRecord(id)),
        "used" => Some(Entry::AccessTokenUsed(id)),
        _ => None,
    }
}

fn removed(rest: &str) -> Option<Entry> {
    let (name, rest) = rest.split_once("/_tags/")?;
    let (tag, removal) = rest.split_once('/')?;
    let (ms, digest_text) = removal.split_once('-')?;
    let (algorithm, hex) = digest_text.split_once('-')?;
    let is_time = ms.len() == 13 && ms.bytes().all(|digit| digit.is_ascii_digit());
    let removed_ms = ms.parse().ok().filter(|_| is_time)?;
    Some(Entry::RemovedTag(name.parse().ok()?, tag.parse().ok()?, removed_ms, digest(algorithm, hex)?))
}
