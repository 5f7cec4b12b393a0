//! Deletion, and the way back.

use http::{Request, StatusCode};
use sampan_engine::oci::Tag;
use serde_json::json;

use super::store::{Page, Store, text_of};
use crate::contents::Contents;

const DELETE: &str = "/ui/team/app/-/delete";
const RESTORE: &str = "/ui/team/app/-/restore";

/// `v1` and `stable` are the same image, `v2` is another one.
async fn store() -> Store {
    let store = Store::open();
    fill(&store).await;
    store
}

async fn fill(store: &Store) {
    let config = |arch: &str| json!({ "os": "linux", "architecture": arch });
    for (tag, arch) in [("v1", "amd64"), ("stable", "amd64"), ("v2", "arm64")] {
        store.image("team/app", Some(tag), &config(arch), &["layer", arch]).await;
    }
}

async fn tags(store: &Store) -> Vec<String> {
    let (_, list) = store.json("/ui/team/app/-/tags?sort=name").await;
    let tags = list["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    tags.iter().map(|tag| tag["tag"].as_str().unwrap().to_owned()).collect()
}

fn targets(page: &Page) -> Vec<String> {
    let fields = page.text.split(r#"name="target" value=""#).skip(1);
    fields.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_preview_says_what_goes_and_changes_nothing() {
    let store = store().await;
    let page = store.get(&format!("{DELETE}?tag=v1&tag=v2&tag=v9")).await;
    let text = text_of(&page.text);
    for part in [
        "Tags to delete: 2",
        "Tags of the same images that stay stable",
        "Images left without a tag: 1",
        "The tag v9 is no longer there.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Of `v2` its own layer, configuration and manifest, not the layer that the others share.
    let one = store.get(&format!("{DELETE}?tag=v2")).await;
    let text = text_of(&one.text);
    assert!(text.contains("592 B in this repository would no longer be needed."), "{text}");
    // A store without directories is not walked for a page.
    assert!(!text.contains("Calculate exactly"), "{text}");
    assert_eq!(tags(&store).await, ["stable", "v1", "v2"]);
    let back = store.get(DELETE).await;
    assert_eq!((back.status, back.header("location")), (StatusCode::SEE_OTHER, "/ui/team/app/-/tags"));
}

#[tokio::test]
async fn what_was_shown_is_deleted_and_comes_back() {
    let store = store().await;
    let page = store.get(&format!("{DELETE}?tag=v1&tag=v2")).await;
    let (token, targets) = (page.token(DELETE), targets(&page));
    // Another client pushes `v2` again before the button is pressed.
    store.image("team/app", Some("v2"), &json!({ "os": "linux", "architecture": "riscv64" }), &["new"]).await;
    let mut form = vec![("token", token.as_str())];
    form.extend(targets.iter().map(|target| ("target", target.as_str())));
    let deleted = store.post(DELETE, "", &form).await;
    let text = text_of(&deleted.text);
    assert!(
        text.contains("These tags are deleted: v1") && text.contains("They are as they were: v2"),
        "{text}"
    );
    assert_eq!(tags(&store).await, ["stable", "v2"]);

    let removed = store.get(RESTORE).await;
    assert_eq!(removed.rows()[0][0], "v1");
    let digest = targets[0].split_once('@').unwrap().1;
    let token = removed.token(RESTORE);
    let restored = store.post(RESTORE, "", &[("token", &token), ("tag", "v1"), ("digest", digest)]).await;
    assert_eq!(
        (restored.status, restored.header("location")),
        (StatusCode::SEE_OTHER, "/ui/team/app/-/tags/v1")
    );
    assert_eq!(tags(&store).await, ["stable", "v1", "v2"]);
    // It does not move a tag that is there.
    let taken = store.post(RESTORE, "", &[("token", &token), ("tag", "v2"), ("digest", digest)]).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert!(taken.text.contains("The tag v2 exists and points elsewhere."), "{}", taken.text);
}

/// The list that the page of a whole repository showed.
fn shown(page: &Page) -> String {
    let field = page.text.split(r#"name="shown" value=""#).nth(1).unwrap_or_default();
    field.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_repository_that_changed_since_it_was_shown_is_shown_again() {
    let store = store().await;
    let page = store.get(&format!("{DELETE}?all=1")).await;
    let token = page.token(DELETE);
    let mut seen = shown(&page);
    let config = |arch: &str| json!({ "os": "linux", "architecture": arch });
    for (tag, arch, count) in [
        // Another image, a tag that moves, and an image without a tag.
        (Some("meanwhile"), "riscv64", "Tags to delete: 4"),
        (Some("v2"), "amd64", "Tags to delete: 4"),
        (None, "s390x", "Images left without a tag: 4"),
    ] {
        store.image("team/app", tag, &config(arch), &["layer", arch]).await;
        for language in ["en", "zh"] {
            let form = [("token", token.as_str()), ("all", "1"), ("name", "team/app"), ("shown", &seen)];
            let request = Request::post(DELETE).header("sec-fetch-site", "same-origin");
            let again = store.send_with(request.header("accept-language", language), &form).await;
            assert_eq!(again.status, StatusCode::CONFLICT, "{tag:?}: {}", again.text);
            let (reason, count) = match language {
                "en" => ("changed since it was shown. Nothing was deleted.", count),
                _ => ("沒有刪除任何內容。", ""),
            };
            let text = text_of(&again.text);
            assert!(text.contains(reason) && text.contains(count), "{tag:?}: {text}");
            if language == "zh" {
                seen = shown(&again);
            }
        }
    }
    assert_eq!(tags(&store).await, ["meanwhile", "stable", "v1", "v2"]);
    let form = [("token", token.as_str()), ("all", "1"), ("name", "team/app"), ("shown", &seen)];
    let deleted = store.post(DELETE, "", &form).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    assert!(text_of(&deleted.text).contains("team/app is empty. The next"), "{}", deleted.text);
    assert_eq!(tags(&store).await, [""; 0]);
}

#[tokio::test]
async fn what_comes_between_the_look_and_the_deletion_stays() {
    let store = store().await;
    let repository = store.registry.repository("team/app".parse().unwrap());
    let contents = Contents::read(&repository).await.unwrap();
    let config = |arch: &str| json!({ "os": "linux", "architecture": arch });
    store.image("team/app", Some("v2"), &config("riscv64"), &["layer", "riscv64"]).await;
    store.image("team/app", Some("new"), &config("amd64"), &["layer", "amd64"]).await;
    let left = contents.delete(&repository).await.unwrap();
    assert_eq!(tags(&store).await, ["new", "v2"]);
    // Also those that no tag points at any more: the new ones may need them.
    assert_eq!((left.tags.len(), left.manifests.len()), (2, 3));
    assert!(contents.manifests.iter().all(|digest| left.manifests.contains(digest)));

    let digest = |tag: &str| {
        let reference = tag.parse().unwrap();
        let manifests = repository.manifests();
        async move { manifests.digest(&reference).await.unwrap() }
    };
    let manifests = repository.manifests();
    assert!(!manifests.delete_untagged(&digest("new").await).await.unwrap());
    let moved = contents.tags.iter().find(|(tag, _)| tag.as_str() == "v2").unwrap().1.clone().unwrap();
    assert!(manifests.delete_untagged(&moved).await.unwrap());
    assert_eq!(tags(&store).await, ["new", "v2"]);
    let left = Contents::read(&repository).await.unwrap();
    assert_eq!(left.manifests.len(), 2);
    assert!(left.delete(&repository).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_repository_goes_when_its_name_is_typed() {
    let store = store().await;
    let page = store.get(&format!("{DELETE}?all=1")).await;
    assert!(text_of(&page.text).contains("Tags to delete: 3"), "{}", page.text);
    let token = page.token(DELETE);
    for name in ["", "team/ap", "TEAM/APP"] {
        let refused = store.post(DELETE, "", &[("token", &token), ("all", "1"), ("name", name)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        assert!(refused.text.contains("Nothing was deleted."), "{}", refused.text);
    }
    assert_eq!(tags(&store).await.len(), 3);
    let form = [("token", token.as_str()), ("all", "1"), ("name", "team/app"), ("shown", &shown(&page))];
    let deleted = store.post(DELETE, "", &form).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    assert_eq!(tags(&store).await, [""; 0]);
    assert!(store.get(RESTORE).await.rows().len() == 3);
}

#[tokio::test]
async fn forged_and_forbidden_deletions_change_nothing() {
    let store = Store::with_users();
    fill(&store).await;
    let target = digest_of(&store, "v1").await;
    let form = [("all", "1"), ("name", "team/app"), ("target", target.as_str())];
    for request in [
        Request::post(DELETE).header("sec-fetch-site", "cross-site"),
        Request::post(DELETE).header("sec-fetch-site", "same-origin"),
        Request::post(RESTORE).header("sec-fetch-site", "same-origin"),
        Request::post(DELETE),
    ] {
        let page = store.send_with(request, &form).await;
        assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&page.status), "{page:?}");
    }
    assert_eq!(store.get(&format!("{DELETE}?all=1")).await.status, StatusCode::UNAUTHORIZED);
    let public = store.image("public", Some("v1"), &json!({}), &["layer"]).await;
    assert_eq!(store.get("/ui/public/-/delete?all=1").await.status, StatusCode::UNAUTHORIZED);
    assert!(!store.get("/ui/public/-/tags").await.text.contains("checkbox"));
    assert!(public["digest"].is_string());
    let tag: Tag = "v1".parse().unwrap();
    let tags = store.registry.repository("team/app".parse().unwrap()).tags();
    assert!(tags.pushed_at(&tag).await.unwrap().is_some());
}

#[tokio::test]
async fn a_form_that_outlived_its_session_leads_back_to_its_page() {
    const LOGIN: &str = "/ui/-/login";
    let store = Store::with_users();
    fill(&store).await;
    store.image("public", Some("v1"), &json!({}), &["layer"]).await;
    let (one, two) = (digest_of(&store, "v1").await, digest_of(&store, "v2").await);
    let (one, two) = (("target", one.as_str()), ("target", two.as_str()));
    for (path, form, next) in [
        (DELETE, vec![one], "/ui/team/app/-/tags/v1"),
        (DELETE, vec![one, two], "/ui/team/app/-/tags"),
        (DELETE, vec![("all", "1"), ("name", "team/app")], "/ui/team/app/-/tags"),
        (DELETE, vec![("target", "//evil")], "/ui/team/app/-/tags"),
        (RESTORE, vec![("tag", "v1")], RESTORE),
        // Everybody may see it.
        ("/ui/public/-/delete", vec![("target", "v1")], "/ui/public/-/tags/v1"),
    ] {
        let page = store.post(path, "", &form).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(page.text.contains(&format!(r#"name="next" value="{next}""#)), "{next}: {}", page.text);
        let token = page.token(LOGIN);
        let login = [("token", token.as_str()), ("user", "ann"), ("password", "secret"), ("next", next)];
        let login = store.post(LOGIN, "", &login).await;
        assert_eq!((login.status, login.header("location")), (StatusCode::SEE_OTHER, next));
    }
    assert_eq!(digest_of(&store, "v1").await, one.1, "and nothing was deleted");
}

async fn digest_of(store: &Store, tag: &str) -> String {
    let repository = store.registry.repository("team/app".parse().unwrap());
    let digest = repository.manifests().digest(&tag.parse().unwrap()).await.unwrap();
    format!("{tag}@{digest}")
}

#[tokio::test]
async fn a_registry_without_deletion_says_so() {
    let store = store().await;
    store.registry.set_read_only(true);
    let page = store.get("/ui/team/app/-/tags").await;
    assert!(!page.text.contains("checkbox"), "{}", page.text);
    let refused = store.get(&format!("{DELETE}?all=1")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("The registry is read-only."), "{}", refused.text);
}
