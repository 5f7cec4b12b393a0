//! `registry usage`: how much of the store each repository takes, from the survey of the store.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sampan_config::GoDuration;
use sampan_driver::HumanSize;
use sampan_engine::{NoSurvey, RepositorySurvey, Survey, gc};
use sampan_transfer::Selector;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::ReportFormat;
use super::terminal::{count, say};
use super::{CommandResult, check, selected, store};
use crate::auth::rfc3339;
use crate::drivers::Drivers;

#[derive(Debug, clap::Args)]
pub(super) struct UsageOptions {
    /// Only these repositories: `team/*` is every one directly below `team`, `team/**` at any depth
    #[arg(value_name = "GLOB")]
    repositories: Vec<Selector>,

    /// The configuration of the store, whether or not a registry runs on it; else the one that `serve` would
    /// use
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Walk over the store now, instead of reading what the last walk found
    #[arg(long)]
    walk: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub(super) fn run(drivers: &Drivers, options: UsageOptions) -> CommandResult {
    let runtime = super::runtime::start()?;
    runtime.block_on(async {
        let (selection, matched) = selected::noted(&options.repositories, "only repositories have a usage")?;
        let survey = survey(drivers, options.config, options.walk).await?;
        let mut found: Vec<_> =
            survey.repositories().iter().filter(|found| selection.has(&found.name)).collect();
        // The sort keeps the order of names among equals.
        found.sort_by_key(|repository| std::cmp::Reverse(repository.figures.bytes));
        if found.is_empty() && !options.repositories.is_empty() {
            return Err(selected::none(&options.repositories).into());
        }
        matched.warn_of_others();
        match options.format {
            ReportFormat::Json => say(serde_json::to_string_pretty(&as_json(&survey, &found))?),
            ReportFormat::Text => print(&survey, &found, !options.repositories.is_empty()),
        }
        Ok(())
    })
}

async fn survey(
    drivers: &Drivers,
    config: Option<PathBuf>,
    is_walk: bool,
) -> Result<Survey, Box<dyn std::error::Error>> {
    let registry = store::open_to_read(drivers, &check::find(drivers, config)?).await?;
    registry.set_read_only(true);
    if is_walk {
        return Ok(gc::survey(&registry, 0.0, &CancellationToken::new()).await?);
    }
    Survey::read(&registry).await.map_err(|error| match error {
        NoSurvey::Store(error) => error.into(),
        error => format!("{error}: collect garbage, or pass `--walk` to walk over the store now").into(),
    })
}

/// How old the figures are.
fn age(survey: &Survey) -> Duration {
    let age = SystemTime::now().duration_since(survey.as_of()).unwrap_or_default();
    Duration::from_secs(age.as_secs())
}

/// Prints the figures; the totals are those of the whole store, so not where only a part of it is shown.
fn print(survey: &Survey, found: &[&RepositorySurvey], is_part: bool) {
    say("REPOSITORY\tTAGS\tSIZE\tOWN\tSHARED\tLAST PUSH");
    for RepositorySurvey { name, figures } in found {
        let pushed = figures.pushed().map_or("-".to_owned(), |pushed| rfc3339(Some(pushed)));
        let shared = figures.bytes.saturating_sub(figures.own_bytes);
        let [size, own, shared] = [figures.bytes, figures.own_bytes, shared].map(HumanSize);
        say(format!("{name}\t{}\t{size}\t{own}\t{shared}\t{pushed}", figures.tags));
    }
    let totals = survey.totals();
    let as_of = format!("as of {}, {} ago", rfc3339(Some(survey.as_of())), GoDuration(age(survey)));
    if is_part {
        let all = count(totals.repositories, "repository");
        return say(format!("{} of {all}; {as_of}", found.len()));
    }
    let unlinked = totals.stored_bytes.saturating_sub(totals.linked_bytes);
    say(format!(
        "{}: {} together, and {} that none of them links; {as_of}",
        count(totals.repositories, "repository"),
        HumanSize(totals.linked_bytes),
        HumanSize(unlinked),
    ));
}

fn as_json(survey: &Survey, found: &[&RepositorySurvey]) -> Value {
    let repositories = found.iter().map(|RepositorySurvey { name, figures }| {
        json!({
            "repository": name.as_str(),
            "tags": figures.tags,
            "manifests": figures.manifests,
            "size_bytes": figures.bytes,
            "own_bytes": figures.own_bytes,
            "shared_bytes": figures.bytes.saturating_sub(figures.own_bytes),
            "last_push": figures.pushed().map(|pushed| rfc3339(Some(pushed))),
        })
    });
    json!({
        "as_of": rfc3339(Some(survey.as_of())),
        "age_secs": age(survey).as_secs(),
        "repositories": repositories.collect::<Vec<_>>(),
        "all": survey.totals(),
    })
}
