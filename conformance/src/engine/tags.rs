//! Tags, and the names of repositories.

use sampan_driver::Operation;
use sampan_engine::Error;
use sampan_engine::oci::Reference;

use super::client::{Client, Image, tag};
use super::hooks::Counted;
use super::store::is_valid;
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

async fn are_listed_in_order_and_in_pages(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut tags = vec!["v1", "v1-rc", "v1.0", "v10", "V1", "_x", "0", "latest", "v1_0"];
    client.push_image("image", &image, tags[0]).await?;
    client.push_manifest("image", &image.manifest, image.digest(), &tags[1..]).await?;
    tags.sort_unstable();
    let store = client.repository("image").tags();
    let all = store.list(None, None).await?;
    equal(
        (&all.items[..], all.has_more),
        (&tags.iter().map(|tag| tag.to_string()).collect::<Vec<_>>()[..], false),
        "all tags",
    )?;
    for limit in 1..=tags.len() {
        let mut joined: Vec<String> = Vec::new();
        loop {
            let page = store.list(joined.last().map(String::as_str), Some(limit)).await?;
            joined.extend(page.items);
            equal(page.has_more, joined.len() < tags.len(), "whether there is more")?;
            if !page.has_more {
                break;
            }
        }
        equal(&joined, &tags, format_args!("the joined pages of {limit}"))?;
    }
    let none = store.list(Some("zzz"), None).await?;
    equal(none.items.len(), 0, "the number of tags after the last")?;
    let some = store.list(Some("v1-a"), Some(2)).await?;
    equal(
        (some.items, some.has_more),
        (vec!["v1-rc".to_owned(), "v1.0".to_owned()], true),
        "the tags after one that is none",
    )
}

async fn a_tag_moves(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (other, images) =
        (Client::of_another_process(&ctx).await?, [Image::new(1), Image::new(2), Image::new(1)]);
    for image in &images {
        client.push_image("image", image, "latest").await?;
        // No process may rely on what it read before.
        for client in [&client, &other] {
            client.pulls("image", image, tag("latest")).await?;
        }
        is_valid(ctx.driver()).await?;
    }
    client.pulls("image", &images[1], images[1].digest()).await
}

async fn a_tag_has_the_time_of_its_last_push(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    client.push_image("image", &Image::new(1), "first").await?;
    client.push_image("image", &Image::new(1), "second").await?;
    let tags = client.repository("image").tags();
    let pushed_at = async |name: &str| tags.pushed_at(&tag(name)).await;
    let (first, second) = (pushed_at("first").await?, pushed_at("second").await?);
    ensure(first.is_some() && first <= second, format_args!("{first:?} is not before {second:?}"))?;
    client.push_image("image", &Image::new(2), "first").await?;
    let again = pushed_at("first").await?;
    ensure(again >= second, format_args!("a tag that moved at {again:?} is older than {second:?}"))?;
    equal(pushed_at("missing").await?, None, "the time of a missing tag")
}

async fn are_listed_by_the_time_of_their_push(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    for (name, seed) in [("latest", 1), ("v1.10", 1), ("v1.9", 2), ("v1.10", 3), ("latest", 4)] {
        client.push_image("image", &Image::new(seed), name).await?;
    }
    let tags = client.repository("image").tags();
    let times = tags.times().await?;
    equal((times.items.len(), times.left_out), (3, 0), "the number of tags")?;
    for pair in times.items.windows(2) {
        ensure(pair[0].at >= pair[1].at, format_args!("{pair:?} are in the wrong order"))?;
    }
    for item in &times.items {
        equal(tags.pushed_at(&item.what).await?, Some(item.at), format_args!("the time of {}", item.what))?;
    }
    // Those of one time are in the order of their names.
    equal(times.items[0].what.as_str(), "latest", "the tag of the last push")?;
    let mut names: Vec<&str> = times.items.iter().map(|item| item.what.as_str()).collect();
    names.sort_unstable();
    equal(names, ["latest", "v1.10", "v1.9"], "the tags")?;
    client.repository("image").manifests().delete(&tag("v1.9").into()).await?;
    let left = tags.times().await?;
    ensure(
        left.items.iter().all(|item| item.what.as_str() != "v1.9"),
        format_args!("a deleted tag is in {left:?}"),
    )?;
    let unknown = client.repository("other").tags().times().await;
    ensure(
        matches!(unknown, Err(Error::RepositoryUnknown(_))),
        format_args!("the tags of no repository are {unknown:?}"),
    )
}

async fn a_tag_knows_what_it_has_pointed_at(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let images = [Image::new(1), Image::new(2)];
    for (name, image) in [("moved", 0), ("other", 1), ("moved", 1), ("moved", 0)] {
        client.push_image("image", &images[image], name).await?;
    }
    let tags = Client::of_another_process(&ctx).await?.repository("image").tags();
    let history = tags.history(&tag("moved")).await?;
    let mut digests: Vec<_> = history.items.iter().map(|item| item.what.clone()).collect();
    ensure(
        history.items.windows(2).all(|pair| pair[0].at >= pair[1].at),
        format_args!("{history:?} is in the wrong order"),
    )?;
    digests.sort_unstable();
    let mut expected = images.each_ref().map(Image::digest);
    expected.sort_unstable();
    equal(&digests[..], &expected[..], "the digests of a tag that moved")?;
    equal(tags.history(&tag("other")).await?.items.len(), 1, "the digests of another tag")?;
    equal(tags.history(&tag("missing")).await?.items.len(), 0, "the digests of a missing tag")
}

async fn one_push_may_set_many(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "first").await?;
    let put = client.push_manifest("image", &image.manifest, image.digest(), &["second", "third"]).await?;
    equal(put.tags, [tag("second"), tag("third")], "the tags that were set")?;
    for name in ["first", "second", "third"] {
        client.pulls("image", &image, tag(name)).await?;
    }
    is_valid(ctx.driver()).await
}

async fn belong_to_their_repository(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("a/b", &image, "latest").await?;
    for other in ["a", "a/b/c", "a/bc"] {
        for reference in [Reference::Tag(tag("latest")), image.digest().into()] {
            let got = client.repository(other).manifests().get(&reference).await;
            let unknown = matches!(got, Err(Error::ManifestUnknown(..)));
            ensure(unknown, format_args!("{reference} of a/b is seen in {other}"))?;
        }
    }
    Ok(())
}

async fn repositories_are_listed_in_pages(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    // By components: everything below `a` comes before `a-b`.
    let names = [
        "0",
        "0/1",
        "a",
        "a/0",
        "a/b",
        "a/b/c",
        "a/z",
        "a-b",
        "a-b/c",
        "a.b",
        "a0",
        "b/c/d",
        "library/nginx",
    ];
    for name in names {
        client.push_image(name, &image, "latest").await?;
    }
    // Blobs alone do not create a repository.
    client.push_blob("nothing-but-a-blob", &image.config).await?;
    for limit in 1..=names.len() + 1 {
        let mut joined: Vec<String> = Vec::new();
        loop {
            let page = client.registry.catalog(joined.last().map(String::as_str), limit).await?;
            joined.extend(page.items);
            equal(page.has_more, joined.len() < names.len(), "whether there is more")?;
            if !page.has_more {
                break;
            }
        }
        equal(joined, names, format_args!("the joined pages of {limit}"))?;
    }
    Ok(())
}

/// A client chooses where the catalog begins: the listing reads no level on which no name can be.
async fn a_catalog_costs_no_more_than_a_name_has_levels(ctx: Context) -> Result<(), Failed> {
    let counted = Counted::default();
    let (client, image) = (Client::new(&counted.over(ctx.driver())), Image::new(1));
    for name in ["a", "a/b", "z"] {
        client.push_image(name, &image, "latest").await?;
    }
    let (deep, long) = ("a/".repeat(30_000), "a/".to_owned() + &"a".repeat(60_000));
    for (last, expected) in [(&deep, &["a/b", "z"]), (&long, &["a/b", "z"])] {
        counted.clear();
        let page = client.registry.catalog(Some(last), 10).await?;
        equal(&page.items[..], &expected[..], "the repositories")?;
        let lists = counted.count(|operation, _| operation == Operation::List);
        ensure(lists <= 140, format_args!("a page costs {lists} listings"))?;
    }
    let none = client.registry.catalog(Some(&"z/".repeat(30_000)), 10).await?;
    equal(none.items.len(), 0, "the repositories after the last")
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::tags":
    are_listed_in_order_and_in_pages,
    a_tag_moves,
    a_tag_has_the_time_of_its_last_push,
    are_listed_by_the_time_of_their_push,
    a_tag_knows_what_it_has_pointed_at,
    one_push_may_set_many,
    belong_to_their_repository,
    repositories_are_listed_in_pages,
    a_catalog_costs_no_more_than_a_name_has_levels,
};
