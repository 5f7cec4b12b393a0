//! An answer to a client that may not see something does not depend on whether it is there: neither in its bytes nor in
//! its time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sampan_engine::oci::Digest;

use super::*;
use crate::support::FailingDriver;
use crate::support::failing_driver::Misbehaviour;

/// A request by method and the rest of its path.
type Question = (&'static str, String);

/// What a repository may have.
#[derive(Clone)]
struct Content {
    tag: &'static str,
    manifest: Digest,
    blob: Digest,
    upload: String,
}

impl Content {
    /// As [`push`], but with names that are of nothing.
    fn missing() -> Self {
        let upload = "11111111-2222-4333-8444-555555555555".to_owned();
        Self {
            tag: "v9",
            manifest: Digest::sha256_of(b"no manifest"),
            blob: Digest::sha256_of(b"no blob"),
            upload,
        }
    }

    /// Every request that names something of the repository `name`.
    fn questions(&self, name: &str) -> Vec<Question> {
        let Self { tag, manifest, blob, upload } = self;
        let mut questions = Vec::new();
        for reference in [(*tag).to_owned(), manifest.to_string()] {
            let path = format!("/v2/{name}/manifests/{reference}");
            questions.extend(["GET", "HEAD", "PUT", "DELETE"].map(|method| (method, path.clone())));
        }
        let path = format!("/v2/{name}/blobs/{blob}");
        questions.extend(["GET", "HEAD", "DELETE"].map(|method| (method, path.clone())));
        let path = format!("/v2/{name}/blobs/uploads/{upload}");
        questions.extend(["GET", "PATCH", "PUT", "DELETE"].map(|method| (method, path.clone())));
        for path in ["tags/list", "tags/list?n=1&last=a", &format!("referrers/{manifest}")] {
            questions.extend(["GET", "HEAD"].map(|method| (method, format!("/v2/{name}/{path}"))));
        }
        questions.extend([
            ("HEAD", format!("/v2/{name}/blobs/uploads/{upload}")),
            ("GET", format!("/v2/{name}/referrers/{manifest}?artifactType=a/b&n=1")),
            ("POST", format!("/v2/{name}/blobs/uploads/")),
            ("POST", format!("/v2/{name}/blobs/uploads/?digest={blob}")),
            ("POST", format!("/v2/{name}/blobs/uploads/?mount={blob}")),
            ("PUT", format!("/v2/{name}/manifests/{tag}?tag={tag}")),
            ("POST", format!("/v2/{name}/blobs/uploads/?mount={blob}&from=public/a")),
            ("POST", format!("/v2/public/a/blobs/uploads/?mount={blob}&from={name}")),
        ]);
        questions
    }

    /// The answer's bytes, with words in the place of what the client named itself.
    fn shape(&self, name: &str, answer: &Answer) -> String {
        let headers = answer.headers.iter().filter(|(key, _)| *key != "x-request-id");
        let mut headers: Vec<String> = headers.map(|(key, value)| format!("{key}: {value:?}")).collect();
        headers.sort();
        let shape = format!("{} {headers:#?} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let named = [name, self.tag, &self.manifest.to_string(), &self.blob.to_string(), &self.upload];
        named.iter().fold(shape, |shape, named| shape.replace(named, "NAMED"))
    }
}

/// Pushes an image and begins an upload.
async fn push(site: &Fixture, name: &str) -> Content {
    let server = Server::with(Setup { driver: site.server.driver(), ..Setup::default() });
    let manifest = Digest::sha256_of(&server.push_image(name, "v1", name).await);
    let upload = server.start_upload(name).await;
    let upload = upload.split(['/', '?']).nth(6).unwrap().to_owned();
    Content { tag: "v1", manifest, blob: Digest::sha256_of(b"layer"), upload }
}

/// Clients that may not see `secret/**`, each by its `Authorization`.
async fn strangers(site: &Fixture) -> Vec<Option<String>> {
    let scope = ["repository:public/a:pull", "repository:secret/here:pull,push,delete"];
    let robot = basic("ci", &site.access_token("push", "team/**", None).await.reveal());
    let mut strangers = vec![None, Some(site.token(None, &scope).await.0)];
    for login in [user("dave"), robot] {
        strangers.push(Some(site.token(Some(&login), &scope).await.0));
        strangers.push(Some(login));
    }
    strangers
}

async fn ask(site: &Fixture, (method, path): &Question, stranger: Option<&String>) -> Answer {
    let call = site.call(method, path).body("");
    match stranger {
        Some(authorization) => call.header("authorization", authorization).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn a_hidden_thing_answers_like_a_missing_one_without_asking_the_store() {
    let driver = FailingDriver::new();
    let site = Fixture::with(Plan { driver: Arc::new(driver.clone()), ..Plan::default() }).await;
    let there = push(&site, "secret/here").await;
    let strangers = strangers(&site).await;
    // From now on no record of a robot or a rule becomes old.
    tokio::time::pause();
    let asked = Arc::new(AtomicUsize::new(0));
    driver.be(Misbehaviour::Counts(|_, path| !path.as_str().contains(TOKENS), asked.clone()));
    let sides = [
        ("secret/here", there.clone()),
        ("secret/here", Content::missing()),
        ("secret/gone", Content::missing()),
    ];
    for stranger in &strangers {
        let mut expected: Vec<(Question, String)> = Vec::new();
        for (name, content) in &sides {
            for (number, question) in content.questions(name).iter().enumerate() {
                let answer = ask(&site, question, stranger.as_ref()).await;
                let status = answer.status.as_u16();
                assert!(matches!(status, 401 | 403), "{question:?}, {stranger:?}: {answer:?}");
                assert_eq!(asked.load(Ordering::Relaxed), 0, "{question:?} asked the store");
                let shape = content.shape(name, &answer);
                match expected.get(number) {
                    Some((first, expected)) => assert_eq!(shape, *expected, "{question:?} and {first:?}"),
                    None => expected.push((question.clone(), shape)),
                }
            }
        }
        assert!(expected.len() > 15, "{expected:?}");
    }
    // A user that may see it learns what exists, from the store.
    let carol = user("carol");
    let get = async |path: String| site.get(&path, Some(&carol)).await.status.as_u16();
    assert_eq!(get(format!("/v2/secret/here/blobs/{}", there.blob)).await, 200);
    assert_eq!(get(format!("/v2/secret/gone/blobs/{}", there.blob)).await, 404);
    assert_eq!(get(format!("/v2/secret/here/blobs/uploads/{}", there.upload)).await, 204);
    assert!(asked.load(Ordering::Relaxed) > 2);
}

/// Compares the medians of many requests in turn, so that load of the machine slows down both.
#[tokio::test]
async fn a_hidden_thing_takes_as_long_as_a_missing_one() {
    const ROUNDS: usize = 100;
    let driver = FailingDriver::new();
    let site = Fixture::with(Plan { driver: Arc::new(driver.clone()), ..Plan::default() }).await;
    let there = push(&site, "secret/here").await;
    // A store at which each look shows in the time of an answer.
    driver.be(Misbehaviour::Slow(Duration::from_millis(1)));
    let sides = [("secret/here", there), ("secret/gone", Content::missing())];
    for stranger in [None, Some(user("dave"))] {
        let times = async |number: usize| {
            let questions = sides.each_ref().map(|(name, content)| content.questions(name)[number].clone());
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (question, times) in questions.iter().zip(&mut times) {
                    let begun = Instant::now();
                    ask(&site, question, stranger.as_ref()).await;
                    times.push(begun.elapsed());
                }
            }
            let medians = times.map(|mut times| {
                times.sort();
                times[ROUNDS / 2].as_secs_f64()
            });
            (medians, questions)
        };
        for number in 0..sides[0].1.questions("secret/here").len() {
            let ([here, gone], questions) = times(number).await;
            let ratio = here / gone;
            assert!((1.0 / 1.5..1.5).contains(&ratio), "{questions:?}, {stranger:?}: {ratio}");
        }
    }
}
