//! The survey of a store: right after a collection, found by a walk, made once per interval, and never proof.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver};
use sampan_engine::gc::{self, SurveyTurn};
use sampan_engine::layout::Entry;
use sampan_engine::{Clock, NoSurvey, Registry, RepositoryFigures, Survey};

use super::collector::{collect_at, collect_later, options, paths};
use super::seed::{Seed, image, name};
use crate::check::{ensure, equal};
use crate::data::path;
use crate::engine::hooks::Counted;
use crate::{Clause, Context, Failed, clause::table};

/// Two repositories that share layers, and garbage of every kind.
async fn seeded(ctx: &Context) -> Result<[RepositoryFigures; 2], Failed> {
    let seed = Seed::new(ctx.driver());
    let one = seed.image("a", 1).await?;
    seed.tag("a", "latest", &one.manifest).await?;
    seed.tag("a", "1.0", &one.manifest).await?;
    for blob in &one.blobs[1..] {
        seed.layer("b/c", blob).await?;
    }
    let own = seed.blob(&Bytes::from(vec![7; 500])).await?;
    seed.layer("b/c", &own).await?;
    let other = image(&own, &one.blobs[1..], None);
    let tagged = seed.manifest("b/c", &other).await?;
    seed.tag("b/c", "latest", &tagged).await?;

    let garbage = seed.image("b/c", 2).await?;
    seed.image("gone", 3).await?;
    seed.blob(&Bytes::from_static(b"in no repository")).await?;
    seed.layer("a", &garbage.blobs[0]).await?;

    let (blob, first, second) = (100, one.bytes.len() as u64, other.len() as u64);
    let figures =
        |tags, bytes, own_bytes| RepositoryFigures { tags, manifests: 1, pushed_ms: None, bytes, own_bytes };
    Ok([figures(2, first + 3 * blob, first + blob), figures(1, second + 500 + 2 * blob, second + 500)])
}

/// The figures without times, which the store gives.
fn figures(survey: &Survey) -> Vec<(&str, RepositoryFigures)> {
    let repositories = survey.repositories().iter();
    repositories
        .map(|found| (found.name.as_str(), RepositoryFigures { pushed_ms: None, ..found.figures }))
        .collect()
}

async fn a_collection_leaves_the_figures_of_what_stays(ctx: Context) -> Result<(), Failed> {
    let registry = Registry::builder(ctx.driver().clone()).build();
    let [a, b] = seeded(&ctx).await?;
    let missing = Survey::read(&registry).await;
    ensure(matches!(missing, Err(NoSurvey::Missing)), format_args!("before a collection: {missing:?}"))?;
    let dry = gc::Options { dry_run: true, ..options(true) };
    collect_later(ctx.driver(), &dry).await?;
    ensure(Survey::read(&registry).await.is_err(), "a dry run writes a survey")?;
    collect_later(ctx.driver(), &options(true)).await?;
    let survey = Survey::read(&registry).await?;
    equal(figures(&survey), vec![("a", a), ("b/c", b)], "the figures")?;
    let totals = *survey.totals();
    equal((totals.repositories, totals.tags, totals.manifests), (2, 3, 2), "the totals")?;
    equal(totals.linked_bytes, a.own_bytes + b.own_bytes + 200, "the bytes that are linked")?;
    equal(totals.stored_bytes, totals.linked_bytes, "the bytes of all data")?;
    let found = survey.find(&name("b/c"));
    let pushed = found.and_then(|found| found.figures.pushed());
    let link = ctx.driver().stat(&Entry::TagCurrent(name("b/c"), "latest".parse()?).path()).await?;
    let differs = pushed.map(|pushed| link.modified.duration_since(pushed).unwrap_or_default());
    ensure(
        differs.is_some_and(|differs| differs < Duration::from_millis(1)),
        format_args!("the last push was at {:?}, not at {pushed:?}", link.modified),
    )
}

async fn a_walk_finds_the_same_and_writes_nothing(ctx: Context) -> Result<(), Failed> {
    let registry = Registry::builder(ctx.driver().clone()).build();
    seeded(&ctx).await?;
    let stop = options(true).stop;
    let before = paths(ctx.driver()).await?;
    let with_garbage = gc::survey(&registry, 0.0, &stop).await?;
    equal(paths(ctx.driver()).await?, before, "the store after a walk")?;
    equal(with_garbage.totals().repositories, 3, "the repositories before a collection")?;
    ensure(
        with_garbage.totals().stored_bytes == with_garbage.totals().linked_bytes + 16,
        format_args!("{:?} has 16 bytes without a link", with_garbage.totals()),
    )?;
    collect_later(ctx.driver(), &options(true)).await?;
    let (walked, written) = (gc::survey(&registry, 0.0, &stop).await?, Survey::read(&registry).await?);
    equal(
        (walked.repositories(), walked.totals()),
        (written.repositories(), written.totals()),
        "the survey",
    )?;
    stop.cancel();
    let stopped = gc::survey(&registry, 0.0, &stop).await;
    ensure(matches!(stopped, Err(gc::Error::Stopped)), format_args!("a stopped walk ends with {stopped:?}"))
}

async fn of_several_registries_one_surveys_per_interval(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let (hour, stop) = (Duration::from_secs(3600), options(true).stop);
    let at = |hours: u32| {
        let now = SystemTime::now() + hours * hour;
        Registry::builder(ctx.driver().clone()).clock(Clock::new(move || now)).build()
    };
    let is_made = async |registry: &Registry| -> Result<bool, gc::Error> {
        Ok(matches!(gc::survey_in_turn(registry, hour, 0.0, &stop).await?, SurveyTurn::Made(_)))
    };
    let read_only = at(0);
    read_only.set_read_only(true);
    ensure(is_made(&read_only).await.is_err(), "a read-only registry writes a survey")?;
    let first = at(0);
    equal(is_made(&first).await?, true, "whether a first survey is made")?;
    for other in [&first, &at(0)] {
        equal(is_made(other).await?, false, "whether a second one is made in the same hour")?;
    }
    equal(is_made(&at(2)).await?, true, "whether one is made two hours later")?;
    ctx.driver().delete(&Entry::Survey.path()).await?;
    equal(is_made(&at(2)).await?, false, "whether one is made while another registry may be making it")?;
    // A survey that fails is still due.
    let stopped = options(true).stop;
    stopped.cancel();
    let failed = gc::survey_in_turn(&at(5), hour, 0.0, &stopped).await;
    ensure(matches!(failed, Err(gc::Error::Stopped)), format_args!("a stopped survey ends with {failed:?}"))?;
    equal(is_made(&at(5)).await?, true, "whether one is made after a failure")?;
    let turns = paths(ctx.driver()).await?.iter().filter(|path| path.as_str().contains("/surveys/")).count();
    equal(turns, 1, "the records of surveys")
}

/// The store dates a survey when it is written: a long time after its walk, or when a copy of the store was made.
async fn its_age_is_that_of_its_walk(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let (hour, stop) = (Duration::from_secs(3600), options(true).stop);
    for (age, is_due) in [(3 * hour, true), (hour / 2, false)] {
        let walked = SystemTime::now() - age;
        let earlier = Registry::builder(ctx.driver().clone()).clock(Clock::new(move || walked)).build();
        ctx.driver().delete_tree(&path("/docker/registry/sampan")).await?;
        gc::survey_in_turn(&earlier, hour, 0.0, &stop).await?;
        let turn =
            gc::survey_in_turn(&Registry::builder(ctx.driver().clone()).build(), hour, 0.0, &stop).await?;
        equal(matches!(turn, SurveyTurn::Made(_)), is_due, format_args!("whether one is due after {age:?}"))?;
    }
    Ok(())
}

/// Of two replicas, the one that began earlier may end later.
async fn an_earlier_walk_does_not_replace_a_later_one(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (ahead, stays) in [(minutes(30), true), (minutes(90), false)] {
        let now = SystemTime::now() + ahead;
        collect_at(ctx.driver(), &options(false), now).await?;
        let later = ctx.driver().get_content(&Entry::Survey.path()).await?;
        collect_at(ctx.driver(), &options(false), SystemTime::now()).await?;
        let left = ctx.driver().get_content(&Entry::Survey.path()).await?;
        // A clock that shows so much more is wrong.
        equal(left == later, stays, format_args!("whether a survey of {ahead:?} later stays"))?;
    }
    Ok(())
}

async fn one_that_is_known_is_not_read_again(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let counted = Counted::default();
    let registry = Registry::builder(counted.over(ctx.driver())).build();
    collect_later(ctx.driver(), &options(false)).await?;
    let read = async |known| Survey::read_unless(&registry, known).await.map_err(|(error, _)| error);
    let Some((survey, file)) = read(None).await? else { return Err(Failed::new("no survey is known yet")) };
    counted.clear();
    equal(read(Some(file)).await?, None, "what is read of a known survey")?;
    equal(counted.count(|_, _| true), 1, "the operations")?;
    seeded_more(&ctx).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    let again = read(Some(file)).await?;
    ensure(
        again.as_ref().is_some_and(|(again, _)| again.totals() != survey.totals()),
        format_args!("the survey of a store that has grown is {again:?}"),
    )
}

async fn seeded_more(ctx: &Context) -> Result<(), Failed> {
    let more = Seed::new(ctx.driver()).image("another/one", 9).await?;
    Seed::new(ctx.driver()).tag("another/one", "latest", &more.manifest).await?;
    Ok(())
}

async fn what_is_damaged_is_none_until_the_next(ctx: Context) -> Result<(), Failed> {
    let registry = Registry::builder(ctx.driver().clone()).build();
    seeded(&ctx).await?;
    collect_later(ctx.driver(), &options(true)).await?;
    let path = Entry::Survey.path();
    let whole = ctx.driver().get_content(&path).await?;
    for damaged in [Bytes::new(), whole.slice(..whole.len() / 2), Bytes::from(vec![0; 100])] {
        ctx.driver().put_content(&path, damaged, PutMode::Overwrite).await?;
        let read = Survey::read(&registry).await;
        ensure(matches!(read, Err(NoSurvey::Damaged(_))), format_args!("a damaged survey is {read:?}"))?;
    }
    collect_later(ctx.driver(), &options(true)).await?;
    equal(Survey::read(&registry).await?.repositories().len(), 2, "the repositories of the next survey")
}

pub(crate) const CLAUSES: &[Clause] = table! { "gc::survey":
    a_collection_leaves_the_figures_of_what_stays,
    a_walk_finds_the_same_and_writes_nothing,
    of_several_registries_one_surveys_per_interval,
    its_age_is_that_of_its_walk,
    an_earlier_walk_does_not_replace_a_later_one,
    one_that_is_known_is_not_read_again,
    what_is_damaged_is_none_until_the_next,
};
