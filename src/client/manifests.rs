//! The manifests of a repository.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use sampan_engine::oci::media_type::{DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED};
use sampan_engine::oci::{Descriptor, Digest, Manifest, ManifestKind, MediaType, Reference, Tag};
use serde::Deserialize;

use crate::error::{ClientError, Problem};
use crate::repository::RepositoryClient;
use crate::transport::Answer;

/// A manifest whose bytes have its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteManifest {
    /// The digest that the caller asked for or the registry announced; sha256 otherwise.
    pub digest: Digest,
    /// The type that the registry serves it as, or that it names itself.
    pub media_type: String,
    /// The content.
    pub bytes: Bytes,
}

/// A manifest without its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestInfo {
    /// The digest, as the registry says.
    pub digest: Digest,
    /// The type, as the registry says.
    pub media_type: String,
    /// The length in bytes, if the registry says it.
    pub size_bytes: Option<u64>,
}

/// The outcome of a push of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PutManifest {
    /// The manifest's digest.
    pub digest: Digest,
    /// Whether the client added the manifest to the fallback tag of its subject: the registry has no referrers API.
    pub updated_fallback_tag: bool,
}

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The most tags of one request: servers limit the length of a URL.
const MAX_TAGS: usize = 20;

/// The kinds of manifest that this crate asks for.
fn accepted() -> String {
    let kinds = [
        ManifestKind::OciIndex,
        ManifestKind::OciManifest,
        ManifestKind::DockerList,
        ManifestKind::DockerManifest,
    ];
    kinds.map(ManifestKind::media_type).join(", ")
}

impl RepositoryClient {
    /// Reads a manifest and compares it with its digest; `None` if it does not exist (OCI distribution-spec, "Pulling
    /// manifests").
    ///
    /// # Errors
    ///
    /// As every request; also a manifest that is too large, does not have its digest, or is of Docker's schema 1.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<RemoteManifest>, ClientError> {
        let call = self.read(Method::GET, &format!("manifests/{reference}")).header(ACCEPT, &accepted());
        let limit = self.connection().options.limits.manifest_bytes;
        let (answer, bytes) = self.connection().document(&call, limit, "the manifest, in bytes,").await?;
        let url = answer.url().clone();
        let at = |problem| ClientError::at(url.as_str(), problem);
        match answer.status() {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.connection().error(answer).await),
        }
        let served_type = media_type(&answer);
        if served_type.as_deref().is_some_and(|text| [DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED].contains(&text))
        {
            return Err(at(Problem::Schema1));
        }
        let announced = announced_digest(&answer);
        // A captive portal says 200, too.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(at(Problem::Protocol("it is no JSON object".to_owned())));
        }
        let wanted = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => announced,
        };
        let digest = match wanted {
            Some(expected) => {
                let actual = Digest::of(expected.algorithm(), &bytes);
                if actual != expected {
                    return Err(at(Problem::Digest { expected, actual }));
                }
                actual
            }
            // Nothing else says that it is a manifest, and captive portals answer with JSON, too.
            None if !looks_like_a_manifest(&bytes) => {
                return Err(at(Problem::Protocol("it is no manifest".to_owned())));
            }
            None => Digest::sha256_of(&bytes),
        };
        let media_type = served_type.and_then(|text| MediaType::named(&text));
        let media_type = media_type.unwrap_or_else(|| MediaType::of_manifest(&bytes)).as_str().to_owned();
        Ok(Some(RemoteManifest { digest, media_type, bytes }))
    }

    /// Asks for a manifest's digest and type without its content; `None` if it does not exist. Registries count the reading
    /// of manifests, not this. Where the answer lacks the digest, reads the manifest after all.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub async fn manifest_info(&self, reference: &Reference) -> Result<Option<ManifestInfo>, ClientError> {
        let call = self.read(Method::HEAD, &format!("manifests/{reference}")).header(ACCEPT, &accepted());
        let answer = self.connection().call(&call).await?;
        match (answer.status(), announced_digest(&answer), media_type(&answer)) {
            (404, ..) => return Ok(None),
            (200, Some(digest), Some(media_type)) => {
                if let Reference::Digest(expected) = reference
                    && *expected != digest
                    && expected.algorithm() == digest.algorithm()
                {
                    return Err(answer.at(Problem::Digest { expected: expected.clone(), actual: digest }));
                }
                let digest = match reference {
                    Reference::Digest(expected) => expected.clone(),
                    Reference::Tag(_) => digest,
                };
                return Ok(Some(ManifestInfo { digest, media_type, size_bytes: answer.content_length() }));
            }
            (200 | 405, ..) => {}
            _ => return Err(self.connection().error(answer).await),
        }
        Ok(self.manifest(reference).await?.map(|manifest| ManifestInfo {
            size_bytes: Some(manifest.bytes.len() as u64),
            digest: manifest.digest,
            media_type: manifest.media_type,
        }))
    }

    /// Pushes a manifest under a tag or its digest. If it has a subject and the registry does not process that, adds it to
    /// the subject's fallback tag (OCI distribution-spec, "Pushing Manifests with Subject").
    ///
    /// Everything that it refers to must be in the repository. A repetition changes nothing.
    ///
    /// # Errors
    ///
    /// As every request; also if the registry stored another digest than that of `bytes`, or if other clients kept
    /// overwriting the fallback tag: the manifest is stored then, but not listed.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<PutManifest, ClientError> {
        Ok(self.push_manifest(reference, &[], media_type, bytes).await?.0)
    }

    /// Pushes a manifest under its digest and sets tags by the same requests, so that they answer with this digest whatever its
    /// algorithm (`?tag=`, OCI distribution-spec after 1.1). Returns the tags that the registry has set: one that does not know
    /// the parameter sets none.
    ///
    /// # Errors
    ///
    /// As [`put_manifest`](Self::put_manifest).
    pub async fn put_tagged_manifest(
        &self,
        digest: &Digest,
        tags: &[Tag],
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Vec<Tag>, ClientError> {
        let reference = Reference::Digest(digest.clone());
        let mut all = Vec::new();
        for tags in tags.chunks(MAX_TAGS) {
            let (_, set) = self.push_manifest(&reference, tags, media_type, bytes.clone()).await?;
            if set.is_empty() {
                break;
            }
            all.extend(tags.iter().filter(|tag| set.contains(tag)).cloned());
        }
        Ok(all)
    }

    /// Pushes a manifest; returns the tags of the request that the registry has set.
    async fn push_manifest(
        &self,
        reference: &Reference,
        tags: &[Tag],
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(PutManifest, Vec<Tag>), ClientError> {
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let call = self.write(Method::PUT, &format!("manifests/{reference}{query}"));
        let call = call.header(CONTENT_TYPE, media_type).body(bytes.clone());
        let answer = self.connection().call(&call).await?;
        if !matches!(answer.status(), 200..=204) {
            return Err(self.connection().error(answer).await);
        }
        let algorithm = match (reference, announced_digest(&answer)) {
            (Reference::Digest(digest), _) => digest.algorithm(),
            (Reference::Tag(_), announced) => {
                announced.map_or(sampan_engine::oci::Algorithm::Sha256, |digest| digest.algorithm())
            }
        };
        let actual = Digest::of(algorithm, &bytes);
        let expected = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(_) => announced_digest(&answer).unwrap_or_else(|| actual.clone()),
        };
        if actual != expected {
            return Err(answer.at(Problem::Digest { expected, actual }));
        }
        let set = answer.headers().get_all(OCI_TAG).iter();
        let set = set.filter_map(|tag| tag.to_str().ok()?.parse().ok()).collect();
        let is_processed = answer.headers().contains_key(OCI_SUBJECT);
        let manifest = Manifest::parse(&bytes, Some(media_type)).ok();
        let subject = manifest.as_ref().and_then(|manifest| manifest.subject.clone());
        let (Some(manifest), Some(subject)) = (manifest, subject.filter(|_| !is_processed)) else {
            return Ok((PutManifest { digest: actual, updated_fallback_tag: false }, set));
        };
        let referrer = Descriptor {
            media_type: media_type.to_owned(),
            digest: actual.clone(),
            size: bytes.len() as u64,
            artifact_type: manifest.effective_artifact_type().map(str::to_owned),
            annotations: manifest.annotations,
            urls: Vec::new(),
            platform: None,
        };
        self.add_to_fallback_tag(&subject.digest, &referrer).await?;
        Ok((PutManifest { digest: actual, updated_fallback_tag: true }, set))
    }

    /// Deletes a tag, or a manifest with all its tags; `false` if it does not exist (OCI distribution-spec, "Deleting
    /// tags").
    ///
    /// # Errors
    ///
    /// As every request; registries may refuse deletions altogether, or those of tags.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<bool, ClientError> {
        self.delete_at(&format!("manifests/{reference}")).await
    }

    pub(crate) async fn delete_at(&self, path: &str) -> Result<bool, ClientError> {
        let answer = self.connection().call(&self.delete(path)).await?;
        match answer.status() {
            200..=204 => Ok(true),
            404 => Ok(false),
            _ => Err(self.connection().error(answer).await),
        }
    }
}

/// Whether JSON has what every manifest has.
fn looks_like_a_manifest(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(rename = "schemaVersion")]
        _schema_version: u32,
    }
    serde_json::from_slice::<Versioned>(bytes).is_ok()
}

/// The digest in the answer's header, if it is one.
pub(crate) fn announced_digest(answer: &Answer) -> Option<Digest> {
    answer.header(DOCKER_CONTENT_DIGEST)?.parse().ok()
}

/// The media type without parameters.
fn media_type(answer: &Answer) -> Option<String> {
    let text = answer.header(CONTENT_TYPE)?.split(';').next().unwrap_or_default().trim();
    (!text.is_empty()).then(|| text.to_owned())
}
