//! Makes the engine from the configuration.

use std::sync::Arc;

use sampan_config::{CacheConfig, Config, PlatformRule, ValidationConfig};
use sampan_driver::StorageDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::{DescriptorCache, IndexChildren, Limits, Registry, UrlRules, Validation};

/// The registry of `config`, over `driver`.
pub(super) fn registry(
    config: &Config,
    driver: Arc<dyn StorageDriver>,
    descriptors: Option<Arc<dyn DescriptorCache>>,
) -> Registry {
    let storage = &config.storage;
    let mut limits = Limits {
        manifest_size_bytes: config.http.limits.maxmanifestsize.0,
        delete: storage.delete.enabled,
        read_only: storage.maintenance.readonly.enabled,
        ..Limits::default()
    };
    // 0 means the number of processors, as in Distribution.
    if let Some(lookups) = storage.tag.concurrencylimit.filter(|limit| *limit > 0) {
        limits.tag_lookups = usize::try_from(lookups).unwrap_or(usize::MAX);
    }
    let classes = &config.policy.repository.classes;
    let validation = Validation {
        classes: (!classes.is_empty()).then(|| classes.clone()),
        ..validation(&config.validation)
    };
    // Caches are collected in any case.
    let is_cache = config.proxy.as_ref().is_some_and(|proxy| proxy.is_cache());
    let grace = config.gc.lease_grace().or_else(|| is_cache.then(|| config.gc.grace_period()));
    let builder = Registry::builder(driver).limits(limits).validation(validation).gc_grace(grace);
    let builder = builder.descriptors(descriptors).caches(caches(config));
    match manifest_cache_bytes(&storage.cache) {
        Some(bytes) => builder.manifest_cache_bytes(bytes).build(),
        None => builder.build(),
    }
}

/// The repositories that are caches of other registries.
pub(super) fn caches(config: &Config) -> CachePrefixes {
    let upstreams = config.proxy.iter().flat_map(|proxy| proxy.resolved_upstreams());
    let prefixes: Option<Vec<_>> = upstreams.map(|upstream| upstream.prefix?.parse().ok()).collect();
    match prefixes {
        Some(prefixes) => CachePrefixes::below(prefixes),
        // An upstream without a prefix.
        None => CachePrefixes::everything(),
    }
}

/// `cache.blobdescriptorsize` counts entries; ours are whole manifests, of 2 KiB on average.
fn manifest_cache_bytes(cache: &CacheConfig) -> Option<u64> {
    const ENTRY_BYTES: u64 = 2048;
    const UNLIMITED_BYTES: u64 = 256 << 20;
    cache.blobdescriptor.as_ref()?;
    Some(cache.limit().map_or(UNLIMITED_BYTES, |entries| (entries as u64).saturating_mul(ENTRY_BYTES)))
}

fn validation(config: &ValidationConfig) -> Validation {
    if config.is_lifted() {
        return Validation { urls: UrlRules::Any, index_children: IndexChildren::None, classes: None };
    }
    let (allow, deny) = (config.manifests.urls.allow.clone(), config.manifests.urls.deny.clone());
    let urls = if allow.is_empty() && deny.is_empty() {
        UrlRules::Nondistributable
    } else {
        UrlRules::Only(Arc::new(move |url| {
            (allow.is_empty() || allow.iter().any(|pattern| pattern.as_regex().is_match(url)))
                && !deny.iter().any(|pattern| pattern.as_regex().is_match(url))
        }))
    };
    let indexes = &config.manifests.indexes;
    let index_children = match indexes.platforms {
        PlatformRule::All => IndexChildren::All,
        PlatformRule::None => IndexChildren::None,
        PlatformRule::List => IndexChildren::Platforms(
            indexes
                .platformlist
                .iter()
                .map(|platform| (platform.architecture.clone(), platform.os.clone()))
                .collect(),
        ),
    };
    Validation { urls, index_children, classes: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_config::{Config, Environment, Source};

    fn rules(urls: &str) -> UrlRules {
        let text = format!("version: 0.1\nstorage: inmemory\nvalidation: {{manifests: {{urls: {urls}}}}}\n");
        let source = Source::Text { name: "config.yml".to_owned(), text };
        let loaded = Config::load(source, &Environment::default()).unwrap_or_else(|error| panic!("{error}"));
        validation(&loaded.config.validation).urls
    }

    #[test]
    fn the_lists_of_urls_count_when_there_are_any() {
        for urls in ["{}", "{allow: [], deny: []}"] {
            assert!(matches!(rules(urls), UrlRules::Nondistributable), "{urls}");
        }
        let check = |urls: &str, url: &str, expected: bool| match rules(urls) {
            UrlRules::Only(allowed) => assert_eq!(allowed(url), expected, "{urls} {url}"),
            other => panic!("{urls}: {other:?}"),
        };
        check("{allow: ['^https://a/']}", "https://a/1", true);
        check("{allow: ['^https://a/']}", "https://b/1", false);
        check("{deny: ['^https://a/']}", "https://a/1", false);
        check("{deny: ['^https://a/']}", "https://b/1", true);
        check("{allow: ['^https://a/'], deny: ['x']}", "https://a/x", false);
        check("{deny: ['.*']}", "https://a/1", false);
    }
}
