//! What a cache of another registry lacks is fetched when a client asks for it.

use std::time::{Duration, SystemTime};

use sampan_driver::StorageDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{ProblemKind, RepairOutcome, verify};
use sampan_engine::{Clock, Registry};

use super::super::client::{Image, name, tag};
use super::seed::{damage, files, options, seeded};
use crate::check::{ensure, equal};
use crate::{Context, Failed};

pub(super) async fn what_a_cache_lacks_is_no_damage(ctx: Context) -> Result<(), Failed> {
    let (client, [shared, _]) = seeded(&ctx).await?;
    let images = [3, 4, 5].map(Image::new);
    let [partial, lost, dangling] = &images;
    for (image, text) in [(&shared, "shared"), (partial, "partial"), (lost, "lost"), (dangling, "dangling")] {
        client.push_image("hub/app", image, text).await?;
    }
    let layer = Digest::sha256_of(&shared.layers[0]);
    for entry in [
        // Its data are those of another repository: only a transfer shows that the upstream has them.
        Entry::LayerLink(name("hub/app"), layer.clone()),
        Entry::Blob(Digest::sha256_of(&partial.layers[0])),
        Entry::Blob(lost.digest()),
        Entry::RevisionLink(name("hub/app"), dangling.digest()),
    ] {
        ctx.driver().delete(&entry.path()).await?;
    }
    let before = files(ctx.driver()).await?;
    let report = verify(&client.registry, &options(false)).await?;
    equal(report.problems.len(), 4, "problems of an ordinary repository")?;

    let caches = CachePrefixes::below([name("hub")]);
    // An hour later, when no push seems to continue.
    let now = SystemTime::now() + Duration::from_secs(3600);
    let caching = || {
        let clock = Clock::new(move || now);
        Registry::builder(ctx.driver().clone()).caches(caches.clone()).clock(clock).build()
    };
    let report = verify(&caching(), &options(true)).await?;
    ensure(report.is_whole(), format_args!("{:?}", report.problems))?;
    ensure(files(ctx.driver()).await? == before, "the repair of a cache changed the store")?;

    // Damaged content is no less damaged there.
    let damaged = damage(&ctx, &partial.config).await?;
    let report = verify(&caching(), &options(true)).await?;
    let [problem] = &report.problems[..] else {
        return Err(Failed::new(format!("{:?}", report.problems)));
    };
    ensure(matches!(problem.kind, ProblemKind::Damaged { .. }), format_args!("{problem:?}"))?;
    equal(problem.digest.as_ref(), Some(&damaged), "the damage")?;
    ensure(matches!(problem.outcome, RepairOutcome::MovedAside(_)), format_args!("{problem:?}"))?;
    let tags = problem.needed_by.first().map(|need| need.tags.clone()).unwrap_or_default();
    equal(tags, vec![tag("partial").to_string()], "the tags that need it")
}
