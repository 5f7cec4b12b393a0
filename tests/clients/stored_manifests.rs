//! Manifests that Debian's package of Distribution accepts, and this registry would refuse: it serves them as Distribution
//! does.

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::oci::media_type::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST,
};

use super::support::{RegistryProcess, debian_registry_with, filesystem_config, registry};
use crate::support::store::StoreFiles;

const NAME: &str = "odd";

/// The way of a manifest into the store, and what Distribution does with it there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    /// Distribution accepts and serves it.
    Push,
    /// The test writes it as a file, since this version of Distribution accepts none; Distribution serves it.
    Hand,
    /// The test writes it as a file that Distribution serves differently, or not at all.
    HandAlone,
}

use By::{Hand, HandAlone, Push};

#[test]
#[ignore = "needs docker-registry"]
fn what_distribution_serves_is_served_and_some_more() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let files = StoreFiles::new(&root);
    let blob = files.layer(NAME, "content");
    let table = table(&blob);

    let config = format!("{}compatibility: {{schema1: {{enabled: true}}}}\n", filesystem_config(&root));
    let theirs = debian_registry_with(directory.path(), &config);
    for (by, content, media_type) in &table {
        let (digest, path) = place(content);
        if *by == Push {
            let pushed =
                theirs.wire().send("PUT", &path, &[("Content-Type", media_type)], content.as_bytes());
            assert_eq!(pushed.status, 201, "{content}: {}", String::from_utf8_lossy(&pushed.body));
        } else {
            files.blob(content);
            files.write(&Entry::RevisionLink(NAME.parse().unwrap(), digest.clone()), digest.to_string());
        }
        files.tag(NAME, &tag(&digest), &digest);
    }

    let ours = registry(directory.path(), &filesystem_config(&root));
    for (by, content, media_type) in &table {
        let (digest, path) = place(content);
        let by_tag = format!("/v2/{NAME}/manifests/{}", tag(&digest));
        for path in [path, by_tag] {
            let [here, there] = [&ours, &theirs].map(|registry| get(registry, &path, media_type));
            assert_eq!(here.0, 200, "{path} {content}");
            assert_eq!(here.1, *media_type, "{path} {content}");
            assert_eq!(here.2, content.as_bytes(), "{path}");
            match by {
                Push | Hand => assert_eq!(here, there, "{path} {content}"),
                HandAlone => assert_ne!(there, here, "{path}: Distribution serves {content} alike"),
            }
        }
        let answer = ours.wire().send("HEAD", &format!("/v2/{NAME}/manifests/{digest}"), &[], b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(*media_type)), "{content}");
    }
}

fn get(registry: &RegistryProcess, path: &str, accept: &str) -> (u16, String, Vec<u8>) {
    let answer = registry.wire().send("GET", path, &[("Accept", accept)], b"");
    (answer.status, answer.header("content-type").unwrap_or_default().to_owned(), answer.body)
}

fn place(content: &str) -> (Digest, String) {
    let digest = Digest::sha256_of(content.as_bytes());
    let path = format!("/v2/{NAME}/manifests/{digest}");
    (digest, path)
}

fn tag(digest: &Digest) -> String {
    digest.hex()[..12].to_owned()
}

/// Each kind of manifest that this registry once answered with 500, and its way into the store.
fn table(blob: &Digest) -> Vec<(By, String, &'static str)> {
    let config = format!(
        r#""config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{blob}","size":7}}"#
    );
    let image =
        |rest: String| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}",{config},{rest}}}"#);
    let docker = |rest: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}",{rest}}}"#);
    let of = |kind: &str, rest: String| format!(r#"{{"schemaVersion":2,"mediaType":"{kind}",{rest}}}"#);
    let child = image(r#""layers":[],"x":"child""#.to_owned());
    let child_digest = Digest::sha256_of(child.as_bytes());
    let schema1 = format!(
        r#"{{"schemaVersion":1,"name":"{NAME}","tag":"1","architecture":"amd64","fsLayers":[{{"blobSum":"{blob}"}}],"history":[{{"v1Compatibility":"{{}}"}}]"#
    );
    vec![
        (Push, child, OCI_MANIFEST),
        (Push, image(format!(r#""layers":[{{"mediaType":"a/b","digest":"{blob}"}}]"#)), OCI_MANIFEST),
        (
            Push,
            image(format!(r#""layers":[{{"mediaType":"a/b","digest":"{blob}","size":-1}}]"#)),
            OCI_MANIFEST,
        ),
        (
            Push,
            of(
                OCI_INDEX,
                format!(r#""manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{child_digest}"}}]"#),
            ),
            OCI_INDEX,
        ),
        (
            Push,
            of(
                DOCKER_LIST,
                format!(r#""manifests":[{{"mediaType":"{DOCKER_MANIFEST}","digest":"{child_digest}"}}]"#),
            ),
            DOCKER_LIST,
        ),
        (
            Push,
            docker(&format!(r#""config":{{"mediaType":"a/b","digest":"{blob}"}},"layers":[]"#)),
            DOCKER_MANIFEST,
        ),
        (Push, image(r#""annotations":{"a":null},"layers":[]"#.to_owned()), OCI_MANIFEST),
        (Push, image(format!(r#""layers":[{{"mediaType":null,"digest":"{blob}","size":7}}]"#)), OCI_MANIFEST),
        (
            Push,
            of(
                OCI_INDEX,
                format!(
                    r#""manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{child_digest}","size":7,"platform":{{"architecture":null,"os":"linux"}}}}]"#
                ),
            ),
            OCI_INDEX,
        ),
        (Push, image(r#""layers":[],"annotations":{},"annotations":{"b":"c"}"#.to_owned()), OCI_MANIFEST),
        (
            Push,
            image(format!(r#""layers":[],"layers":[{{"mediaType":"a/b","digest":"{blob}","size":7}}]"#)),
            OCI_MANIFEST,
        ),
        // Distribution writes schema 1 without its signatures, and signs it with its own key at every read.
        (HandAlone, format!("{schema1}}}"), DOCKER_SCHEMA1),
        (
            HandAlone,
            format!(r#"{schema1},"signatures":[{{"header":{{}},"signature":"x","protected":"x"}}]}}"#),
            DOCKER_SCHEMA1_SIGNED,
        ),
        (
            HandAlone,
            of("application/vnd.example.thing.v9+json", r#""x":1"#.to_owned()),
            "application/vnd.example.thing.v9+json",
        ),
        (
            Hand,
            of(OCI_MANIFEST, format!(r#""layers":[{{"mediaType":"a/b","digest":"{blob}","size":7}}]"#)),
            OCI_MANIFEST,
        ),
    ]
}
