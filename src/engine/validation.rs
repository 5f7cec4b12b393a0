//! `Validation`: requirements on manifests beyond their format.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::oci::{Descriptor, Manifest, ManifestKind, ManifestProblem, media_type};
use crate::{Error, Result};

/// The requirements on pushed manifests.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Which URLs layers may have.
    pub urls: UrlRules,
    /// Which children of an index the repository must have.
    pub index_children: IndexChildren,
    /// The only classes of content that clients may push (`image`, `plugin`); `None` allows all.
    pub classes: Option<Vec<String>>,
}

/// Which URLs layers may have.
#[derive(Clone, Default)]
pub enum UrlRules {
    /// Non-distributable layers may have any `http` or `https` URL without a fragment, other layers none: distributable
    /// content belongs in the registry, and clients would fetch any URL that a manifest names.
    #[default]
    Nondistributable,
    /// Every `http` or `https` URL without a fragment.
    Any,
    /// Of these, the URLs that the function accepts.
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

/// Which children of an index the repository must have at the push.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum IndexChildren {
    /// All children.
    #[default]
    All,
    /// No children: clients may push sparse indexes.
    None,
    /// Children for one of these platforms, `(architecture, os)`, and children without a platform.
    Platforms(Vec<(String, String)>),
}

/// Whether a push takes a manifest of this kind without the layer, since clients fetch it from the layer's URLs. That a repository
/// has such a manifest says nothing about whether its clients may see the content.
pub(crate) fn lives_elsewhere(kind: ManifestKind, layer: &Descriptor) -> bool {
    let may_live_elsewhere = match kind {
        ManifestKind::DockerManifest if media_type::is_docker_foreign(&layer.media_type) => true,
        _ => media_type::is_oci_nondistributable(&layer.media_type),
    };
    may_live_elsewhere && !layer.urls.is_empty()
}

impl Validation {
    /// Checks everything that needs no store, and returns the descriptors that the repository must have.
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
        let is_foreign =
            kind == ManifestKind::DockerManifest && media_type::is_docker_foreign(&layer.media_type);
        if is_foreign && layer.urls.is_empty() {
            return Err(Error::ManifestInvalid(ManifestProblem::UrlMissing(layer.digest.clone())));
        }
        Ok(!lives_elsewhere(kind, layer))
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
