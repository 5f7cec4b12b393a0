//! `registry tag`: the tags that deletions removed, and their restoration.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use sampan_config::Loaded;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use sampan_engine::{Error, OnExistingTag, RemovedTag, Remover, RestoreOutcome};
use serde_json::{Value, json};

use super::args::ReportFormat;
use super::record::record;
use super::terminal::{count, printable, say, warn};
use super::{CommandResult, check, store};
use crate::auth::{AuditEvent, rfc3339};
use crate::drivers::Drivers;

#[derive(Debug, Subcommand)]
pub(super) enum TagCommand {
    /// List removed tags, the latest removal first: tag, digest, time, and the user who removed it
    Removed {
        /// The repository
        #[arg(value_parser = repository)]
        repository: RepositoryName,
        /// Only the removals of this tag
        tag: Option<Tag>,
        /// How many to list at most
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Point a tag again at the image that it was removed from, until a garbage collection has taken that
    ///
    /// A manifest that was deleted with its tags comes back as well.
    Restore {
        /// The repository
        #[arg(value_parser = repository)]
        repository: RepositoryName,
        /// The tag
        tag: Tag,
        /// The image; else that of the latest removal
        digest: Option<Digest>,
        /// Move the tag if it exists and points at another image
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        common: CommonOptions,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CommonOptions {
    /// The configuration of the store, whether or not a registry runs on it; else the one that `serve` would
    /// use
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// Parses the name of a repository; other commands take `team/app:1.3`.
fn repository(text: &str) -> Result<RepositoryName, String> {
    text.parse().map_err(|error: <RepositoryName as FromStr>::Err| match text.rsplit_once(':') {
        Some((name, tag)) if name.parse::<RepositoryName>().is_ok() && tag.parse::<Tag>().is_ok() => {
            format!("the tag is a word of its own: `{name} {tag}`")
        }
        _ => error.to_string(),
    })
}

pub(super) fn run(drivers: &Drivers, command: TagCommand) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        match command {
            TagCommand::Removed { repository, tag, limit, common } => {
                removed(drivers, repository, tag, limit, common).await
            }
            TagCommand::Restore { repository, tag, digest, replace, common } => {
                let on_existing = if replace { OnExistingTag::Move } else { OnExistingTag::Keep };
                restore(drivers, repository, tag, digest, on_existing, common).await
            }
        }
    })
}

async fn removed(
    drivers: &Drivers,
    repository: RepositoryName,
    tag: Option<Tag>,
    limit: usize,
    common: CommonOptions,
) -> CommandResult {
    let loaded = check::find(drivers, common.config)?;
    refuse_in_memory(&loaded)?;
    let registry = store::open_to_read(drivers, &loaded).await?;
    let removed = registry.repository(repository).tags().removed(tag.as_ref(), limit).await?;
    match common.format {
        ReportFormat::Json => say(Value::from_iter(removed.items.iter().map(described)).to_string()),
        ReportFormat::Text => {
            for removal in &removed.items {
                let by = match &removal.by {
                    Remover::Unknown => "-".to_owned(),
                    Remover::User(name) => name.clone(),
                };
                let (tag, digest) = (removal.tag.to_string(), removal.digest.to_string());
                let fields = [tag, digest, rfc3339(Some(removal.at)), by];
                say(fields.map(|field| printable(&field)).join("\t"));
            }
        }
    }
    if removed.left_out > 0 {
        warn(format!("{} more: `--limit` lists them", count(removed.left_out, "earlier removal")));
    }
    if removed.is_cut {
        warn("there are so many records that only some were read: name a tag for its own");
    }
    Ok(())
}

fn described(removal: &RemovedTag) -> Value {
    let user = match &removal.by {
        Remover::Unknown => None,
        Remover::User(name) => Some(name),
    };
    json!({
        "tag": removal.tag.as_str(),
        "digest": removal.digest.to_string(),
        "removed": rfc3339(Some(removal.at)),
        "user": user,
    })
}

async fn restore(
    drivers: &Drivers,
    repository: RepositoryName,
    tag: Tag,
    digest: Option<Digest>,
    on_existing: OnExistingTag,
    common: CommonOptions,
) -> CommandResult {
    let loaded = check::find(drivers, common.config)?;
    refuse_in_memory(&loaded)?;
    let registry = store::open_to_change(drivers, &loaded).await?;
    let tags = registry.repository(repository.clone()).tags();
    let outcome = match tags.restore(&tag, digest.as_ref(), on_existing).await {
        Ok(outcome) => outcome,
        Err(error @ Error::TagExists(..)) => {
            return Err(format!("{error}; pass `--replace` to move it").into());
        }
        Err(Error::ManifestUnknown(..)) => {
            return Err(format!(
                "the image is not in {repository} any more, and no record says that {tag} pointed at it and its content is \
                 still there: `registry tag removed {repository} {tag}` lists the images that {tag} was removed from; \
                 `registry backup restore` brings back others, and those that a garbage collection has taken"
            )
            .into());
        }
        Err(Error::ManifestReferencesUnknown(missing)) => {
            return Err(format!(
                "the image is no longer whole, so {tag} cannot point at it: {} missing, the first is {}; \
                 `registry backup restore` brings it back from a backup, and so does a push",
                count(missing.len() as u64, "part"),
                missing.first().map(ToString::to_string).unwrap_or_default()
            )
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    let (digest, was_there) = match outcome {
        RestoreOutcome::Restored(digest) => (digest, false),
        RestoreOutcome::Unchanged(digest) => (digest, true),
    };
    if !was_there {
        record(&loaded.config, "the tag is restored", event(&repository, &tag, &digest));
    }
    match common.format {
        ReportFormat::Json => {
            let fields = json!({
                "repository": repository.as_str(), "tag": tag.as_str(), "digest": digest.to_string(), "restored": !was_there,
            });
            say(fields.to_string());
        }
        ReportFormat::Text if was_there => say(format!("{repository}:{tag} points at {digest} already")),
        ReportFormat::Text => say(format!("{repository}:{tag} points at {digest} again")),
    }
    Ok(())
}

fn event(repository: &RepositoryName, tag: &Tag, digest: &Digest) -> AuditEvent {
    let event = AuditEvent::new("tag restored").with("repository", Some(repository.as_str()));
    event.with("tag", Some(tag.as_str())).with("digest", Some(digest.to_string()))
}

fn refuse_in_memory(loaded: &Loaded) -> Result<(), Box<dyn std::error::Error>> {
    store::refuse_in_memory(loaded, "this command sees no tags in it")
}
