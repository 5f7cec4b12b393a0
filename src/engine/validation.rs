//! `Validation`: what a manifest must fulfil beyond being one.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::oci::{Descriptor, Manifest, ManifestKind, ManifestProblem, media_type};
use crate::{Error, Result};

/// What is asked of manifests that are pushed.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Which URLs layers may point to.
    pub urls: UrlRules,
    /// Which children of an index must be in the repository.
    pub index_children: IndexChildren,
    /// The only classes of content that may be pushed (`image`, `plugin`), if there is such a limit.
    pub classes: Option<Vec<String>>,
}

/// Which URLs layers may point to.
#[derive(Clone, Default)]
pub enum UrlRules {
    /// Layers that may not be distributed may point to every `http` or `https` URL without a fragment, others to none: what a
    /// registry may hold need not be fetched from elsewhere, and clients fetch whatever someone wrote there.
    #[default]
    Nondistributable,
    /// Every `http` or `https` URL without a fragment.
    Any,
    /// Of those, what the function says.
    Only(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for UrlRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nondistributable => "Nondistributable",
            Self::Any => "Any",
            Self::Only(_) => "Only(…)",
        })
    }
}

impl UrlRules {
    fn allow(&self, layer: &Descriptor, text: &str) -> bool {
        let Ok(url) = Url::parse(text) else { return false };
        let plain = matches!(url.scheme(), "http" | "https") && url.fragment().is_none() && url.has_host();
        match self {
            Self::Nondistributable => plain && media_type::is_nondistributable(&layer.media_type),
            Self::Any => plain,
            Self::Only(allowed) => plain && allowed(text),
        }
    }
}

/// Which children of an index must be in the repository when it is pushed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum IndexChildren {
    /// All of them.
    #[default]
    All,
    /// None of them: sparse indexes are taken.
    None,
    /// Those for one of these platforms, `(architecture, os)`, and those without a platform.
    Platforms(Vec<(String, String)>),
}

impl Validation {
    /// Checks what can be checked without looking into the store, and tells what must be in there.
    pub(crate) fn required<'a>(&self, manifest: &'a Manifest) -> Result<Vec<&'a Descriptor>> {
        self.check_class(manifest)?;
        if manifest.kind.is_index() {
            return Ok(manifest.manifests.iter().filter(|child| self.child_is_required(child)).collect());
        }
        let mut required: Vec<_> = manifest.config.iter().collect();
        for layer in &manifest.layers {
            if self.layer_is_required(manifest.kind, layer)? {
                required.push(layer);
            }
        }
        Ok(required)
    }

    fn child_is_required(&self, child: &Descriptor) -> bool {
        match (&self.index_children, &child.platform) {
            (IndexChildren::All, _) | (IndexChildren::Platforms(_), None) => true,
            (IndexChildren::None, _) => false,
            (IndexChildren::Platforms(platforms), Some(platform)) => platforms
                .iter()
                .any(|(architecture, os)| *architecture == platform.architecture && *os == platform.os),
        }
    }

    fn layer_is_required(&self, kind: ManifestKind, layer: &Descriptor) -> Result<bool> {
        if let Some(url) = layer.urls.iter().find(|url| !self.urls.allow(layer, url)) {
            return Err(Error::ManifestInvalid(ManifestProblem::UrlNotAllowed(url.clone())));
        }
        if kind == ManifestKind::DockerManifest && media_type::is_docker_foreign(&layer.media_type) {
            if layer.urls.is_empty() {
                return Err(Error::ManifestInvalid(ManifestProblem::UrlMissing(layer.digest.clone())));
            }
            return Ok(false);
        }
        Ok(!media_type::is_oci_nondistributable(&layer.media_type) || layer.urls.is_empty())
    }

    fn check_class(&self, manifest: &Manifest) -> Result<()> {
        let (Some(allowed), Some(config)) = (&self.classes, &manifest.config) else { return Ok(()) };
        let class = match config.media_type.as_str() {
            media_type::DOCKER_IMAGE_CONFIG | media_type::OCI_IMAGE_CONFIG => "image",
            media_type::DOCKER_PLUGIN_CONFIG => "plugin",
            other => other,
        };
        if allowed.iter().any(|name| name == class) {
            return Ok(());
        }
        Err(Error::Denied(format!("only content of class {} may be pushed, not {class}", allowed.join(", "))))
    }
}
