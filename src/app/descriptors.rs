//! Makes a descriptor cache from `storage.cache.blobdescriptor` and `redis`.

use std::sync::Arc;

use sampan_config::{Config, DescriptorCacheKind, RedisConfig};

use super::AppError;
use crate::redis_cache::RedisDescriptors;

/// The configured cache, if it is on a Redis server.
pub(super) async fn descriptors_if_enabled(
    config: &Config,
) -> Result<Option<Arc<RedisDescriptors>>, AppError> {
    let Some((server, settings)) = server(config) else { return Ok(None) };
    let descriptors = Arc::new(RedisDescriptors::new(server, settings).await?);
    let greeting = Arc::clone(&descriptors);
    tokio::spawn(async move { greeting.ping().await });
    Ok(Some(descriptors))
}

/// Checks that [`descriptors_if_enabled`] would succeed, without a request to the server.
pub(super) async fn check(config: &Config) -> Result<(), AppError> {
    if let Some((server, settings)) = server(config) {
        RedisDescriptors::new(server, settings).await?;
    }
    Ok(())
}

/// The server of the cache, and its settings. A cluster is not one, of which the check of the configuration warns.
fn server(config: &Config) -> Option<(&str, &RedisConfig)> {
    let redis = config.redis.as_ref()?;
    (config.storage.cache.blobdescriptor == Some(DescriptorCacheKind::Redis)).then_some(())?;
    Some((redis.server()?, redis))
}
