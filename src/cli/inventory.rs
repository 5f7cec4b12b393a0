//! `registry ls`, `registry du` and `registry inventory`.

use std::path::PathBuf;
use std::sync::Arc;

use sampan_client::RegistryAddress;
use sampan_driver::HumanSize;
use sampan_transfer::{Inventory, Progress, StoreSource, inventory_by_api};

use super::args::{InventoryOptions, ReportFormat, is_config};
use super::endpoint::Endpoint;
use super::export::selectors;
use super::login::LoginOptions;
use super::progress::{ProgressMode, TransferSize, show};
use super::terminal::{count, say, warn};
use super::transfer::write_lines;
use super::{CommandResult, check, misunderstood, store};
use crate::app;
use crate::drivers::Drivers;
use crate::inventory::{Remote, Source, list, measure};

#[derive(Debug, clap::Args)]
pub(super) struct InventoryArgs {
    /// Only these repositories and tags, as for `registry export`
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,

    /// The configuration whose store is read, whether or not a registry runs on it; else the one that `serve`
    /// would use
    #[arg(short, long, value_name = "FILE", conflicts_with = "from")]
    config: Option<PathBuf>,

    /// List by the API of the registry there instead: tags, and what they refer to
    #[arg(long, value_name = "URL")]
    from: Option<RegistryAddress>,

    #[command(flatten)]
    login: LoginOptions,

    /// The file to write; else standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// List only tags: short enough to type, and enough for a near side that has the same images
    #[arg(long)]
    tags_only: bool,

    /// How to show progress, on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,

    /// Print only errors, and the list
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn inventory(drivers: &Drivers, args: InventoryArgs) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        let selectors = selectors(&args.selectors)?;
        let progress = Arc::new(Progress::default());
        let mode = if args.quiet { ProgressMode::None } else { args.progress };
        let shown = show(mode, progress.clone(), TransferSize::UNKNOWN);
        let Inventory { lines, unreadable } = match &args.from {
            Some(address) => {
                let from = Endpoint::Registry(address.clone());
                let all = self::selectors(&["**".to_owned()])?;
                let named = if selectors.is_empty() { &all } else { &selectors };
                let (source, _) = from.source(drivers, &args.login, named).await?;
                inventory_by_api(&*source, &selectors, args.tags_only, &progress).await?
            }
            None => {
                args.login.refuse_without("--from")?;
                let registry = store::open_to_read(drivers, &check::find(drivers, args.config)?).await?;
                registry.set_read_only(true);
                let source = StoreSource::new(registry);
                sampan_transfer::inventory(&source, &selectors, args.tags_only, &progress).await?
            }
        };
        drop(shown);
        for image in unreadable {
            warn(format!(
                "{image} is not listed, since its manifest is missing or damaged: an export with this inventory carries it"
            ));
        }
        match args.output.filter(|output| output.as_os_str() != "-") {
            None => lines.iter().for_each(say),
            Some(output) => write_lines(&output, &lines)?,
        }
        Ok(())
    })
}

pub(super) fn ls(drivers: &Drivers, options: InventoryOptions) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        reject_others("ls", &options)?;
        let source = source(drivers, &options).await?;
        let json = options.format == ReportFormat::Json;
        let mut listings = Vec::new();
        let any = list(&source, &options.repositories, |listing| {
            for tag in &listing.unreadable {
                warn(format!(
                    "{}:{tag} is not listed, since its manifest cannot be read",
                    listing.repository
                ));
            }
            if json {
                listings.push(listing);
            } else {
                for image in &listing.tags {
                    let platforms = match image.platforms.is_empty() {
                        true => "-".to_owned(),
                        false => image.platforms.join(","),
                    };
                    say(format!(
                        "{}:{}\t{}\t{platforms}\t{}",
                        listing.repository,
                        image.tag,
                        image.digest,
                        HumanSize(image.size_bytes)
                    ));
                }
                if listing.tags.is_empty() && listing.unreadable.is_empty() {
                    say(format!("{}\t(no tags)", listing.repository));
                }
            }
        });
        if !any.await? && !options.repositories.is_empty() {
            return Err(format!("no such repository: {}", options.repositories.join(" or ")).into());
        }
        if json {
            say(serde_json::to_string_pretty(&listings)?);
        }
        Ok(())
    })
}

pub(super) fn du(drivers: &Drivers, options: InventoryOptions) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        reject_others("du", &options)?;
        let source = source(drivers, &options).await?;
        let usage = measure(&source, &options.repositories).await?;
        if usage.repositories.is_empty() && !options.repositories.is_empty() {
            return Err(format!("no such repository: {}", options.repositories.join(" or ")).into());
        }
        if options.format == ReportFormat::Json {
            say(serde_json::to_string_pretty(&usage)?);
            return Ok(());
        }
        say("REPOSITORY\tTAGS\tMANIFESTS\tSIZE\tOWN\tSHARED");
        for repository in &usage.repositories {
            say(format!(
                "{}\t{}\t{}\t{}\t{}\t{}",
                repository.repository,
                repository.tags,
                repository.manifests,
                HumanSize(repository.size_bytes),
                HumanSize(repository.own_bytes),
                HumanSize(repository.shared_bytes)
            ));
        }
        say(format!("all repositories together: {}", HumanSize(usage.size_bytes)));
        if let Some(bytes) = usage.unreferenced_bytes {
            let size = HumanSize(bytes);
            say(format!(
                "without a reference: {size}, which a garbage collection frees after the grace period"
            ));
        }
        if usage.unreadable > 0 {
            warn(format!("{}; their content is not counted", count(usage.unreadable, "unreadable manifest")));
        }
        Ok(())
    })
}

/// Refuses a pattern, a configuration file or a URL as argument: other commands take one there, these take repositories.
fn reject_others(command: &str, options: &InventoryOptions) -> Result<(), clap::Error> {
    for name in &options.repositories {
        if !name.contains("://")
            && let Some((above, _)) = name.split_once(['*', '?', '[', '{'])
        {
            let above = above.rsplit_once('/').map_or(String::new(), |(above, _)| format!(" {above}"));
            return Err(misunderstood(format!(
                "`{name}` is a pattern, and `{command}` takes names and includes what is below them: write \
                 `registry {command}{above}`"
            )));
        }
    }
    if options.config.is_some() || options.url.is_some() {
        return Ok(());
    }
    for name in &options.repositories {
        let (what, option) = match name {
            url if url.contains("://") => ("the URL of a registry", "--url"),
            file if is_config(file.as_ref()) => ("a configuration", "--config"),
            _ => continue,
        };
        return Err(misunderstood(format!(
            "`{name}` is read as a repository here: if it is {what}, write `registry {command} {option} {name}`"
        )));
    }
    Ok(())
}

async fn source(drivers: &Drivers, options: &InventoryOptions) -> Result<Source, Box<dyn std::error::Error>> {
    let Some(url) = &options.url else {
        options.login.refuse_without("--url")?;
        let loaded = check::find(drivers, options.config.clone())?;
        store::refuse_in_memory(
            &loaded,
            "this command sees nothing in it; pass `--url` to ask the registry",
        )?;
        let inventory = app::inventory(&loaded.config, drivers).await;
        return inventory.map_err(|error| check::beside(&loaded.source, error.into()));
    };
    Ok(Source::Remote(Remote::new(options.login.client(url.clone())?)))
}
