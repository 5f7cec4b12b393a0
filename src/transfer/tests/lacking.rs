//! Content that the far side lacks, and space that it lacks.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::sync::Arc;

use sampan_bundle::{LeftOut, Reader, verify};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_transfer::{Error, Exported, Missing, Source, parse_lines, plan};
use support::{Store, Way, assemble, export, import_bytes, import_options, name, options, runtime, sample};

fn missing(error: Error) -> Missing {
    match error {
        Error::PresumedMissing(missing) => missing,
        other => panic!("{other}"),
    }
}

#[test]
fn the_images_that_need_missing_content_make_a_supplement() {
    runtime().block_on(async {
        // The layer is below an index, in a referrer's image, and in an image of another repository.
        let near = sample().await;
        near.image("third", Algorithm::Sha256, "free of it", &[vec![9; 50]], false, &["1"]).await;
        let layer = Digest::sha256_of(&[1; 3000]);
        let mut delta = options(&["**"]);
        delta.have.add_lines(format!("{layer} 3000 team/app\n").as_bytes()).unwrap();
        let bundle = export(&near, &delta).await.unwrap();
        for (way, find_missing, images) in
            [(Way::File, false, 1), (Way::File, true, 1), (Way::Pipe, true, 1), (Way::Pipe, false, 0)]
        {
            let far = Store::new();
            let mut options = import_options();
            options.find_missing = find_missing;
            let missing = missing(import_bytes(&far, &bundle, way, &options).await.unwrap_err());
            assert_eq!(missing.contents, std::slice::from_ref(&layer));
            assert_eq!(missing.images.len(), images, "{way:?}");
            assert!(far.state().await.is_empty(), "nothing was written");
        }

        let far = Store::new();
        let missing = missing(import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap_err());
        let list: Vec<String> = missing.images.iter().map(ToString::to_string).collect();
        let index = Reference::Tag("1.0".parse().unwrap());
        let index = near.source().manifest(&name("team/app"), &index).await.unwrap().unwrap().digest;
        assert_eq!(list, [format!("team/app@{index} # 1.0 latest")]);

        let mut supplement = options(&[]);
        let listed = parse_lines(&list.join("\n")).unwrap();
        supplement.selectors = listed.into_iter().map(|(_, image)| image.selector).collect();
        let supplement = export(&near, &supplement).await.unwrap();
        import_bytes(&far, &supplement, Way::File, &import_options()).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        assert_eq!(far.state().await, near.state().await);
    });
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_before_anything_is_written() {
    runtime().block_on(async {
        let near = sample().await;
        let bundle = export(&near, &options(&["team/app"])).await.unwrap();
        let whole = plan(&near.source(), &options(&["team/app"])).await.unwrap().plan.totals().unwrap().bytes;
        let far = Store::new();
        let mut import = import_options();
        import.free_bytes = Some(whole - 1000);
        let error = import_bytes(&far, &bundle, Way::File, &import).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSpace { .. }) && error.to_string().contains("make room for 1000 B more"),
            "{error}"
        );
        assert!(far.state().await.is_empty());
        import.free_bytes = Some(whole);
        import_bytes(&far, &bundle, Way::File, &import).await.unwrap();
        // The same again needs no room.
        import.free_bytes = Some(0);
        import_bytes(&far, &bundle, Way::File, &import).await.unwrap();
    });
}

#[test]
fn a_store_that_is_full_says_how_much_is_left() {
    runtime().block_on(async {
        let near = sample().await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        let far = Store::over(Arc::new(InMemoryDriver::with_limit(4000)));
        let error = import_bytes(&far, &bundle, Way::Pipe, &import_options()).await.unwrap_err();
        let Error::Full { left_bytes, .. } = &error else { panic!("{error}") };
        let whole = plan(&near.source(), &options(&["**"])).await.unwrap().plan.totals().unwrap().bytes;
        assert!(*left_bytes > 0 && *left_bytes <= whole, "{left_bytes} of {whole}");
        assert!(error.to_string().contains("whatever was imported stays"), "{error}");
    });
}

#[test]
fn a_bundle_may_leave_out_foreign_layers_and_nothing_else_of_an_image() {
    runtime().block_on(async {
        let near = Store::new();
        near.image("app", Algorithm::Sha256, "x", &[vec![1; 10]], true, &["1"]).await;
        let honest = plan(&near.source(), &options(&["app"])).await.unwrap();
        assert_eq!(
            (honest.plan.contents.len(), honest.plan.repositories[0].images[0].left_out.len()),
            (3, 1)
        );
        for place in 1..3 {
            let mut planned = honest.clone();
            let digest = planned.plan.contents.remove(place).digest;
            planned.docker.clear();
            let left_out = LeftOut { digest: digest.clone(), platform: String::new() };
            planned.plan.repositories[0].images[0].left_out.push(left_out);
            let bundle = assemble(&planned);
            let content = Exported::new(Arc::new(near.source()), bundle.plan(), planned.places).unwrap();
            let mut bytes = Vec::new();
            bundle.write(0..bundle.layout().len_bytes(), &content, &mut bytes).await.unwrap();
            for way in [Way::File, Way::Pipe] {
                let far = Store::new();
                let error = import_bytes(&far, &bytes, way, &import_options()).await.unwrap_err();
                assert!(error.is_damage() && error.to_string().contains(&digest.to_string()), "{error}");
                assert!(far.state().await.is_empty());
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let reader = Reader::open(&[file.path().to_owned()]).await.unwrap();
            let verified = verify(reader.files().unwrap(), reader.bundle(), 1, &|_| ()).unwrap();
            assert_eq!(verified.faults.len(), 1, "{:?}", verified.faults);
            assert!(verified.faults[0].problem.contains(&digest.to_string()), "{:?}", verified.faults);
        }
    });
}
