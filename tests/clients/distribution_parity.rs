//! One configuration, one data directory, one script: Debian's package of Distribution and this registry, in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};

use sampan_engine::oci::Digest;
use serde_json::json;

use super::support::{Answer, Process, Wire, run, tool};

/// The reason why an answer differs.
#[derive(Clone, Copy)]
enum Reason {
    /// Debian has 2.8; version 3 answers as we do.
    Version3,
    /// `docs/differences.md` documents the difference in these words.
    Written(&'static str),
}

use Reason::{Version3, Written};

/// The steps whose answers differ.
const DIFFERENCES: &[(&str, Reason)] = &[
    ("blob that is known", Written(NOT_MODIFIED)),
    ("catalog of a bad size", Version3),
    ("chunk with a gap", Version3),
    ("delete by tag", Version3),
    ("end with another digest", Version3),
    ("last page of tags", Version3),
    ("manifest for everybody", Written("A manifest is served whatever `Accept` says")),
    ("manifest that is known", Written(NOT_MODIFIED)),
    ("method of nonsense", Written(WHY_NOT)),
    ("method of nonsense for a blob", Written(WHY_NOT)),
    ("name in capitals", Written("A name outside the grammar is 400 `NAME_INVALID`")),
    ("page of tags", Version3),
    ("tags", Version3),
    ("upload that is not there", Version3),
    ("upload's state after the gap", Version3),
];
const NOT_MODIFIED: &str = "A 304 has the headers that a 200 would have";
const WHY_NOT: &str = "Errors of 405 have a body that says why";

/// The headers that clients use.
const HEADERS: &[&str] = &[
    "accept-ranges",
    "allow",
    "cache-control",
    "content-length",
    "content-range",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "link",
    "location",
    "range",
    "www-authenticate",
];

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The requests, and the answer to each.
struct Script {
    address: SocketAddr,
    /// The registry's name, which is also the first part of all repository names.
    who: &'static str,
    answers: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Script {
    fn send(
        &mut self,
        step: &'static str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        // alice:wonderland
        let login = ("Authorization", "Basic YWxpY2U6d29uZGVybGFuZA==");
        let mut all = headers.to_vec();
        if !headers.iter().any(|(name, _)| *name == login.0) {
            all.push(login);
        }
        let path = path.replace("WHO", self.who);
        let answer = Wire::connect(self.address).send(method, &path, &all, body);
        let mut seen = BTreeMap::from([("status".to_owned(), answer.status.to_string())]);
        for header in HEADERS {
            // Go ends its JSON with a newline.
            let is_json =
                answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
            if answer.status < 400 && !is_json || *header != "content-length" {
                // Version 2.8 adds a parameter that has no meaning for JSON.
                let value = answer.header(header).map(|value| value.trim_end_matches("; charset=utf-8"));
                let value = value.map(|value| self.plain(value));
                seen.extend(value.map(|value| ((*header).to_owned(), value)));
            }
        }
        if method != "HEAD" {
            seen.insert("body".to_owned(), self.body(&answer.body));
        }
        let earlier = self.answers.insert(step, seen);
        assert!(earlier.is_none(), "two steps are called {step:?}");
        answer
    }

    /// Replaces what differs from run to run: the registry's name, ids of uploads and their state.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(self.who, "WHO");
        let Some((before, id)) = text.split_once("/blobs/uploads/") else { return text };
        if id.is_empty() { text } else { format!("{before}/blobs/uploads/ID") }
    }

    /// The codes of an error.
    fn body(&self, body: &[u8]) -> String {
        let text = self.plain(&String::from_utf8_lossy(body));
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) if json["errors"].is_array() => {
                let errors = json["errors"].as_array().unwrap();
                errors.iter().map(|error| error["code"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
            }
            Ok(json) => json.to_string(),
            Err(_) => text,
        }
    }

    fn push_blob(&mut self, steps: [&'static str; 2], name: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256_of(content);
        let begun = self.send(steps[0], "POST", &format!("/v2/WHO/{name}/blobs/uploads/"), &[], b"");
        self.send(steps[1], "PUT", &with_digest(&begun.location(), &digest), &[], content);
        digest
    }

    fn run(&mut self) {
        self.logins();
        self.uploads();
        self.images();
        self.lists();
        self.mistakes();
        self.deletions();
    }

    fn logins(&mut self) {
        let none = ("Authorization", "");
        self.send("no password", "GET", "/v2/", &[none], b"");
        let wrong = ("Authorization", "Basic YWxpY2U6bG9va2luZy1nbGFzcw==");
        self.send("wrong password", "GET", "/v2/", &[wrong], b"");
        self.send("no password, manifest", "GET", "/v2/WHO/app/manifests/1", &[none], b"");
        self.send("right password", "GET", "/v2/", &[], b"");
    }

    fn uploads(&mut self) {
        let uploads = "/v2/WHO/app/blobs/uploads/";
        let begun = self.send("upload", "POST", uploads, &[], b"");
        let chunk =
            self.send("first chunk", "PATCH", &begun.location(), &[("Content-Range", "0-5")], b"first ");
        let chunk =
            self.send("second chunk", "PATCH", &chunk.location(), &[("Content-Range", "6-11")], b"second");
        self.send("upload's state", "GET", &chunk.location(), &[], b"");
        self.send("chunk with a gap", "PATCH", &chunk.location(), &[("Content-Range", "90-95")], b"beyond");
        self.send("upload's state after the gap", "GET", &chunk.location(), &[], b"");
        let other = Digest::sha256_of(b"something else");
        self.send("end with another digest", "PUT", &with_digest(&chunk.location(), &other), &[], b"");

        let begun = self.send("upload to be ended", "POST", uploads, &[], b"");
        let chunk = self.send("only chunk", "PATCH", &begun.location(), &[], b"first second");
        let digest = Digest::sha256_of(b"first second");
        self.send("end", "PUT", &with_digest(&chunk.location(), &digest), &[], b"");
        self.send("state of an ended upload", "GET", &chunk.location(), &[], b"");

        let begun = self.send("upload without a digest", "POST", uploads, &[], b"");
        self.send("end without a digest", "PUT", &begun.location(), &[], b"first");
        let begun = self.send("upload to be given up", "POST", uploads, &[], b"");
        self.send("give up", "DELETE", &begun.location(), &[], b"");
        self.send("give up again", "DELETE", &begun.location(), &[], b"");

        let blob = format!("/v2/WHO/app/blobs/{digest}");
        self.send("blob's head", "HEAD", &blob, &[], b"");
        self.send("blob", "GET", &blob, &[], b"");
        self.send("range of a blob", "GET", &blob, &[("Range", "bytes=6-")], b"");
        self.send("range of the end", "GET", &blob, &[("Range", "bytes=-3")], b"");
        self.send("blob that is known", "GET", &blob, &[("If-None-Match", &format!("\"{digest}\""))], b"");
        self.send("blob that is not there", "GET", &format!("/v2/WHO/app/blobs/{other}"), &[], b"");
        self.send("head of what is not there", "HEAD", &format!("/v2/WHO/app/blobs/{other}"), &[], b"");
        self.send("blob of another repository", "GET", &format!("/v2/WHO/other/blobs/{digest}"), &[], b"");

        let mount = |digest: &Digest| format!("/v2/WHO/other/blobs/uploads/?mount={digest}&from={{}}/app");
        let mount = |script: &Self, digest: &Digest| mount(digest).replace("{}", script.who);
        let path = mount(self, &digest);
        self.send("mount", "POST", &path, &[], b"");
        let path = mount(self, &other);
        self.send("mount of what is not there", "POST", &path, &[], b"");
        self.send("mounted blob", "GET", &format!("/v2/WHO/other/blobs/{digest}"), &[], b"");
    }

    fn images(&mut self) {
        let config = self.push_blob(["upload of a config", "end of a config"], "app", b"{}");
        let layer = self.push_blob(["upload of a layer", "end of a layer"], "app", b"a layer");
        let oci = image(OCI_MANIFEST, &config, &layer);
        let docker = image(DOCKER_MANIFEST, &config, &layer);
        for (step, tag, kind, bytes) in [
            ("push by tag", "1", OCI_MANIFEST, &oci),
            ("push by another tag", "2", OCI_MANIFEST, &oci),
            ("push for Docker", "docker", DOCKER_MANIFEST, &docker),
        ] {
            self.send(step, "PUT", &format!("/v2/WHO/app/manifests/{tag}"), &[("Content-Type", kind)], bytes);
        }
        let digest = Digest::sha256_of(&oci);
        let by_digest = format!("/v2/WHO/app/manifests/{digest}");
        self.send("push by digest", "PUT", &by_digest, &[("Content-Type", OCI_MANIFEST)], &oci);

        let accept = ("Accept", OCI_MANIFEST);
        let by_tag = "/v2/WHO/app/manifests/1";
        self.send("manifest's head", "HEAD", by_tag, &[accept], b"");
        self.send("manifest by tag", "GET", by_tag, &[accept], b"");
        self.send("manifest by digest", "GET", &by_digest, &[accept], b"");
        self.send(
            "manifest that is known",
            "GET",
            by_tag,
            &[accept, ("If-None-Match", &format!("\"{digest}\""))],
            b"",
        );
        self.send("manifest for everybody", "GET", by_tag, &[], b"");
        self.send(
            "manifest for Docker",
            "GET",
            "/v2/WHO/app/manifests/docker",
            &[("Accept", DOCKER_MANIFEST)],
            b"",
        );
        self.send("manifest that is not there", "GET", "/v2/WHO/app/manifests/3", &[accept], b"");
        self.send("manifest of no repository", "GET", "/v2/WHO/nothing/manifests/3", &[accept], b"");

        let missing = image(OCI_MANIFEST, &config, &Digest::sha256_of(b"nowhere"));
        let put = |script: &mut Self, step, reference: &str, kind: &str, bytes: &[u8]| {
            let path = format!("/v2/WHO/app/manifests/{reference}");
            script.send(step, "PUT", &path, &[("Content-Type", kind)], bytes);
        };
        put(self, "push without its layer", "3", OCI_MANIFEST, &missing);
        put(self, "push of no JSON", "3", OCI_MANIFEST, b"{nonsense");
        put(self, "push of an unknown kind", "3", "text/plain", &oci);
        put(self, "push by another digest", &config.to_string(), OCI_MANIFEST, &oci);
    }

    fn lists(&mut self) {
        self.send("tags", "GET", "/v2/WHO/app/tags/list", &[], b"");
        self.send("page of tags", "GET", "/v2/WHO/app/tags/list?n=2", &[], b"");
        self.send("last page of tags", "GET", "/v2/WHO/app/tags/list?n=2&last=2", &[], b"");
        self.send("tags of no repository", "GET", "/v2/WHO/nothing/tags/list", &[], b"");
        self.send("page of the catalog", "GET", &format!("/v2/_catalog?n=1&last={}/a", self.who), &[], b"");
        self.send("catalog of a bad size", "GET", "/v2/_catalog?n=nonsense", &[], b"");
    }

    fn mistakes(&mut self) {
        self.send("no such endpoint", "GET", "/v2/WHO/app/nonsense", &[], b"");
        self.send("name in capitals", "GET", "/v2/WHO/APP/tags/list", &[], b"");
        self.send("digest of nonsense", "GET", "/v2/WHO/app/blobs/sha256:nonsense", &[], b"");
        self.send("method of nonsense", "POST", "/v2/WHO/app/manifests/1", &[], b"");
        self.send(
            "method of nonsense for a blob",
            "PUT",
            &format!("/v2/WHO/app/blobs/{}", Digest::sha256_of(b"")),
            &[],
            b"",
        );
        self.send(
            "upload that is not there",
            "GET",
            "/v2/WHO/app/blobs/uploads/0fa3f7b2-0001-4b1a-9c1e-000000000000",
            &[],
            b"",
        );
    }

    fn deletions(&mut self) {
        let manifest = Digest::sha256_of(&image(
            OCI_MANIFEST,
            &Digest::sha256_of(b"{}"),
            &Digest::sha256_of(b"a layer"),
        ));
        let by_digest = format!("/v2/WHO/app/manifests/{manifest}");
        self.send("delete by digest", "DELETE", &by_digest, &[], b"");
        self.send("delete again", "DELETE", &by_digest, &[], b"");
        self.send("deleted manifest", "GET", &by_digest, &[], b"");
        self.send("deleted tag", "GET", "/v2/WHO/app/manifests/1", &[("Accept", OCI_MANIFEST)], b"");
        self.send("tags that are left", "GET", "/v2/WHO/app/tags/list", &[], b"");
        self.send("delete by tag", "DELETE", "/v2/WHO/app/manifests/docker", &[], b"");
        let blob = format!("/v2/WHO/other/blobs/{}", Digest::sha256_of(b"first second"));
        self.send("delete a blob", "DELETE", &blob, &[], b"");
        self.send("delete a blob again", "DELETE", &blob, &[], b"");
        self.send("deleted blob", "GET", &blob, &[], b"");
        let kept = format!("/v2/WHO/app/blobs/{}", Digest::sha256_of(b"first second"));
        self.send("blob where it was not deleted", "GET", &kept, &[], b"");
    }
}

fn with_digest(location: &str, digest: &Digest) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

fn image(media_type: &str, config: &Digest, layer: &Digest) -> Vec<u8> {
    let kinds = match media_type {
        OCI_MANIFEST => {
            ["application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"]
        }
        _ => [
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ],
    };
    let image = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": {"mediaType": kinds[0], "digest": config.to_string(), "size": 2},
        "layers": [{"mediaType": kinds[1], "digest": layer.to_string(), "size": 7}],
    });
    image.to_string().into_bytes()
}

#[test]
#[ignore = "needs docker-registry and htpasswd"]
fn the_same_script_gets_the_same_answers_but_for_what_is_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    // Both registries read the same file, so the port is one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(tool("htpasswd").args(["-Bbc", &path("htpasswd"), "alice", "wonderland"]));
    fs::write(
        path("config.yml"),
        format!(
            "version: 0.1\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             auth: {{htpasswd: {{realm: Registry Realm, path: {}}}}}\n\
             http: {{addr: '{address}', secret: for-both}}\n",
            path("data"),
            path("htpasswd")
        ),
    )
    .unwrap();
    let answers =
        [("docker-registry", "them"), (env!("CARGO_BIN_EXE_registry"), "ours")].map(|(binary, who)| {
            let mut process = Process::start(tool(binary).args(["serve", &path("config.yml")]));
            process.wait_for(|line| line.contains("listening on").then_some(()));
            let mut script = Script { address, who, answers: BTreeMap::new() };
            script.run();
            process.kill();
            script.answers
        });

    let [theirs, ours] = answers;
    let written = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differences.md")).unwrap();
    let expected: BTreeMap<_, _> = DIFFERENCES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (step, their_answer) in &theirs {
        let differs = ours[step] != *their_answer;
        match expected.get(step) {
            None if differs => {
                let keys: BTreeSet<_> = their_answer.keys().chain(ours[step].keys()).collect();
                let show = |key: &String| (their_answer.get(key), ours[step].get(key));
                for key in keys.into_iter().filter(|key| show(key).0 != show(key).1) {
                    wrong.push(format!("{step}: {key}: theirs {:?}, ours {:?}", show(key).0, show(key).1));
                }
            }
            Some(_) if !differs => wrong.push(format!("{step}: does not differ any more")),
            Some(Written(line)) if !written.contains(line) => {
                wrong.push(format!("docs/differences.md does not say: {line}"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
