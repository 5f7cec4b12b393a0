//! Lists of images that other programs read: skopeo's YAML for `sync`, hauler's `kind: Images`, and the `additionalImages` of
//! oc-mirror's `ImageSetConfiguration`.
//!
//! An image becomes the text of a selector. Everything else in such a file would change the selection or its transfer, so a
//! key that is not read is a mistake.

use std::sync::Arc;

use super::constraint::range_of;
use super::diagnostic::child;
use super::{Diagnostic, Entry, Node, Origin, parse};

/// An image of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedImage {
    /// The place in the list.
    pub origin: Origin,
    /// The registry, where the list has it apart from the image.
    pub host: Option<String>,
    /// The image: a reference, perhaps with a host, or the text of a selector.
    pub image: String,
}

/// Reads a list in YAML; `None` if the text is not YAML, but perhaps lines with an image each. `name` is the file's name.
///
/// # Errors
///
/// All mistakes: YAML that is not valid, keys that are not read, images that cannot be selected.
pub fn read_image_list(name: &str, text: &str) -> Result<Option<Vec<ListedImage>>, Vec<Diagnostic>> {
    if !is_yaml(text) {
        return Ok(None);
    }
    let file: Arc<str> = Arc::from(name);
    let documents =
        parse::parse_all(text, &|line, column| Origin::File { file: file.clone(), line, column })?;
    let mut reader = Reader::default();
    for document in documents.iter().filter(|document| !document.is_null()) {
        match document.entry("kind").map(|kind| (kind, kind.value.as_text().unwrap_or_default())) {
            Some((_, "Images")) => reader.hauler(document),
            Some((_, "ImageSetConfiguration")) => reader.oc_mirror(document),
            Some((kind, other)) => reader.mistake(
                &kind.value.origin,
                "kind",
                format!("`{other}` is no list of images: only `Images` (hauler) and `ImageSetConfiguration` are read"),
            ),
            None => reader.skopeo(document),
        }
    }
    match reader.mistakes.is_empty() {
        true => Ok(Some(reader.images)),
        false => Err(reader.mistakes),
    }
}

/// Whether the first line is a mapping of YAML; an image never is one.
fn is_yaml(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with("---") || line.ends_with(':') || line.contains(": "))
}

#[derive(Default)]
struct Reader {
    images: Vec<ListedImage>,
    mistakes: Vec<Diagnostic>,
}

impl Reader {
    /// `HOST: {images: {REPOSITORY: [TAG, …]}, images-by-tag-regex: {…}, images-by-semver: {…}}` (skopeo,
    /// `docs/skopeo-sync.1.md`).
    fn skopeo(&mut self, document: &Node) {
        for Entry { key: host, key_origin, value } in document.entries() {
            if value.entries().is_empty() {
                let problem =
                    "is no registry with `images`: in a list of lines, an image does not end with a colon";
                self.mistake(key_origin, host, problem);
            }
            for section in value.entries() {
                let path = child(host, &section.key);
                match section.key.as_str() {
                    "images" | "images-by-tag-regex" | "images-by-semver" => {
                        self.skopeo_images(host, section, &path);
                    }
                    // That is how images are transferred in any case.
                    "tls-verify" if section.value.is_true() => {}
                    "tls-verify" => self.not_read(section, &path, "pass --insecure or --plain-http"),
                    "cert-dir" => self.not_read(section, &path, "pass --cacert"),
                    "credentials" => {
                        self.not_read(section, &path, "pass --user, or log in with docker or podman");
                    }
                    _ => self.not_read(section, &path, "remove it"),
                }
            }
        }
        if document.entries().is_empty() {
            self.mistake(&document.origin, "", format!("is {}, and no list of images", document.kind_name()));
        }
    }

    fn skopeo_images(&mut self, host: &str, section: &Entry, path: &str) {
        for Entry { key: repository, key_origin, value } in section.value.entries() {
            let path = child(path, repository);
            let found = match (section.key.as_str(), value.as_text()) {
                ("images", None)
                    if value.is_null() || value.items().is_empty() && value.entries().is_empty() =>
                {
                    Ok(vec![(key_origin, repository.clone())])
                }
                ("images", None) => value.items().iter().map(|item| tagged(repository, item)).collect(),
                ("images-by-tag-regex", Some(regex)) => {
                    // skopeo looks for the expression anywhere in the tag.
                    Ok(vec![(&value.origin, format!("{repository}:~.*(?:{regex}).*"))])
                }
                ("images-by-semver", Some(constraint)) => {
                    range_of(constraint).map(|range| vec![(&value.origin, format!("{repository}:{range}"))])
                }
                ("images", Some(_)) => Err("takes a list of tags, such as [\"1.0\", \"1.1\"]".to_owned()),
                _ => Err("takes a text".to_owned()),
            };
            match found {
                Ok(found) => self.images.extend(found.into_iter().map(|(origin, image)| ListedImage {
                    origin: origin.clone(),
                    host: Some(host.to_owned()),
                    image,
                })),
                Err(problem) => self.mistake(&value.origin, &path, problem),
            }
        }
    }

    /// `kind: Images`, `spec: {images: [{name: …}]}` (hauler, `pkg/apis/hauler.cattle.io/v1/image.go`).
    fn hauler(&mut self, document: &Node) {
        for entry in document.entries() {
            match entry.key.as_str() {
                "apiVersion" | "kind" => {}
                "metadata" => {
                    let annotations = entry.value.entry("annotations").into_iter();
                    for entry in annotations.flat_map(|annotations| annotations.value.entries()) {
                        if entry.key.starts_with("hauler.dev/") {
                            let path = format!("metadata.annotations.{}", entry.key);
                            self.not_read(entry, &path, "options of the export and import have its place");
                        }
                    }
                }
                "spec" => {
                    for section in entry.value.entries() {
                        match section.key.as_str() {
                            "images" => self.named(&section.value, "spec.images"),
                            key => self.not_read(section, &child("spec", key), "remove it"),
                        }
                    }
                }
                key => self.not_read(entry, key, "remove it"),
            }
        }
    }

    /// `kind: ImageSetConfiguration`, `mirror: {additionalImages: [{name: …}]}` (oc-mirror,
    /// `internal/pkg/api/v2alpha1/type_config.go`).
    fn oc_mirror(&mut self, document: &Node) {
        for entry in document.entries() {
            match entry.key.as_str() {
                "apiVersion" | "kind" => {}
                "archiveSize" => self.not_read(entry, "archiveSize", "pass --split"),
                "mirror" => {
                    for section in entry.value.entries() {
                        let path = child("mirror", &section.key);
                        match section.key.as_str() {
                            "additionalImages" => self.named(&section.value, &path),
                            "blockedImages" => self.not_read(section, &path, "pass --exclude"),
                            _ => self.not_read(section, &path, "only `additionalImages` is a list of images"),
                        }
                    }
                }
                key => self.not_read(entry, key, "remove it"),
            }
        }
    }

    /// A list of `{name: REFERENCE}`. An image without a tag is the one with `latest`.
    fn named(&mut self, list: &Node, path: &str) {
        if list.items().is_empty() && !list.is_null() {
            self.mistake(&list.origin, path, "takes a list of images");
        }
        for (index, item) in list.items().iter().enumerate() {
            let path = format!("{path}[{index}]");
            for entry in item.entries().iter().filter(|entry| entry.key != "name") {
                let remedy = match entry.key.as_str() {
                    "platform" => "pass --platform",
                    "rewrite" | "targetRepo" | "targetTag" => "pass --map to the import",
                    _ => "remove it",
                };
                self.not_read(entry, &child(&path, &entry.key), remedy);
            }
            match item.entry("name").and_then(|name| name.value.as_text().map(|text| (name, text))) {
                Some((name, text)) => self.images.push(ListedImage {
                    origin: name.value.origin.clone(),
                    host: None,
                    image: with_tag(text),
                }),
                None => self.mistake(&item.origin, &path, "has no `name`"),
            }
        }
    }

    fn not_read(&mut self, entry: &Entry, path: &str, remedy: &str) {
        self.mistake(&entry.key_origin, path, format!("is not read: {remedy}"));
    }

    fn mistake(&mut self, origin: &Origin, path: &str, problem: impl Into<String>) {
        self.mistakes.push(Diagnostic::new(origin, path, problem));
    }
}

/// An image by one of the tags or digests in a list of skopeo's.
fn tagged<'a>(repository: &str, item: &'a Node) -> Result<(&'a Origin, String), String> {
    let tag = item.as_text().ok_or_else(|| "takes a list of tags".to_owned())?;
    let separator = if tag.contains(':') { '@' } else { ':' };
    Ok((&item.origin, format!("{repository}{separator}{tag}")))
}

/// A reference with its tag, which is `latest` if it has neither tag nor digest.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or_default();
    match last.contains([':', '@']) {
        true => reference.to_owned(),
        false => format!("{reference}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Vec<String>> {
        let shown = |image: ListedImage| {
            let host = image.host.map(|host| format!("{host} ")).unwrap_or_default();
            format!("{}: {host}{}", image.origin, image.image)
        };
        match read_image_list("l", text) {
            Ok(list) => Ok(list.expect("no YAML").into_iter().map(shown).collect()),
            Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn lists_of_skopeo_are_read() {
        let text = "# sync\nregistry.example:5000:\n  images:\n    busybox: []\n    team/all:\n    redis:\n      - 1.10\n      \
                    - sha256:12\n  images-by-tag-regex:\n    nginx: ^1\\.13$\n  images-by-semver:\n    alpine: \">= 3.12\"\n  \
                    tls-verify: true\n";
        assert_eq!(
            read(text).unwrap(),
            [
                "l:4:5: registry.example:5000 busybox",
                "l:5:5: registry.example:5000 team/all",
                "l:7:9: registry.example:5000 redis:1.10",
                "l:8:9: registry.example:5000 redis@sha256:12",
                "l:10:12: registry.example:5000 nginx:~.*(?:^1\\.13$).*",
                "l:12:13: registry.example:5000 alpine:>=3.12",
            ]
        );
    }

    #[test]
    fn lists_of_hauler_and_oc_mirror_are_read() {
        let text = "apiVersion: content.hauler.cattle.io/v1\nkind: Images\nmetadata: {name: x}\nspec:\n  images:\n    - name: \
                    busybox\n---\nkind: ImageSetConfiguration\nmirror:\n  additionalImages:\n    - name: \
                    localhost:5000/ubi8/ubi\n    - name: q.example/a@sha256:1\n    - name: b:1\n";
        assert_eq!(
            read(text).unwrap(),
            [
                "l:6:13: busybox:latest",
                "l:11:13: localhost:5000/ubi8/ubi:latest",
                "l:12:13: q.example/a@sha256:1",
                "l:13:13: b:1",
            ]
        );
    }

    #[test]
    fn keys_that_are_not_read_are_named_with_their_lines_and_the_remedy() {
        for (text, expected) in [
            (
                "q.io:\n  images: {a: [b]}\n  credentials: {username: u}\n",
                "l:3:3: q.io.credentials: is not read: pass --user",
            ),
            ("q.io:\n  tls-verify: false\n", "l:2:3: q.io.tls-verify: is not read: pass --insecure"),
            ("q.io:\n  images-by-semver: {a: '1 || 2'}\n", "l:2:25: q.io.images-by-semver.a: alternatives"),
            ("q.io:\n  images: {a: b}\n", "l:2:15: q.io.images.a: takes a list of tags"),
            ("team/app:\n", "l:1:1: team/app: is no registry with `images`"),
            ("kind: Charts\nspec: {}\n", "l:1:7: kind: `Charts` is no list of images"),
            (
                "kind: Images\nspec:\n  images:\n  - name: a\n    platform: linux/arm64\n",
                "l:5:5: spec.images[0].platform: is not read: pass --platform",
            ),
            (
                "kind: Images\nmetadata:\n  annotations: {hauler.dev/platform: x}\n",
                "l:3:17: metadata.annotations.hauler.dev/platform: is not read",
            ),
            ("kind: Images\nspec:\n  images:\n  - a\n", "l:4:5: spec.images[0]: has no `name`"),
            (
                "kind: ImageSetConfiguration\nmirror:\n  operators: []\n",
                "l:3:3: mirror.operators: is not read",
            ),
            (
                "kind: ImageSetConfiguration\nmirror:\n  platform: {}\n  helm: {}\n",
                "l:4:3: mirror.helm: is not read",
            ),
            (
                "kind: ImageSetConfiguration\narchiveSize: 4\n",
                "l:2:1: archiveSize: is not read: pass --split",
            ),
            ("--- \n- a\n", "is a list, and no list of images"),
            ("a: b: c\n", "not valid YAML"),
        ] {
            let mistakes = read(text).unwrap_err();
            assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{text}: {mistakes:?}");
        }
    }

    #[test]
    fn lines_are_no_yaml() {
        for text in ["", "# a: b\nq.io:5000/a:1\n", "a\nb:\n", "a:>=1,<2 # c: d\n", "a:~x: y\n"] {
            let read = read_image_list("l", text);
            assert_eq!(read.is_ok_and(|list| list.is_none()), text != "a:~x: y\n", "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(kind: |Images|q.io:|\n  images: |\\[|- |name: |a|:|1.x|>=|~|#|&b |\\*b|\n){0,12}") {
            let _ = read_image_list("l", &text);
        }
    }
}
