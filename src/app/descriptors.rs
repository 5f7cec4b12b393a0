//! Makes a descriptor cache from `storage.cache.blobdescriptor` and `redis`.

use std::sync::Arc;

use sampan_config::{Config, DescriptorCacheKind, RedisConfig};

use super::AppError;
use crate::redis_cache::{RedisDescriptors, RedisSettings, RedisTlsSettings};

/// The configured cache, if it is on a Redis server.
pub(super) async fn wanted(config: &Config) -> Result<Option<Arc<RedisDescriptors>>, AppError> {
    if config.storage.cache.blobdescriptor != Some(DescriptorCacheKind::Redis) {
        return Ok(None);
    }
    let Some(settings) = config.redis.as_ref().and_then(settings) else { return Ok(None) };
    let descriptors = Arc::new(RedisDescriptors::new(&settings).await?);
    let greeting = Arc::clone(&descriptors);
    tokio::spawn(async move { greeting.greet().await });
    Ok(Some(descriptors))
}

/// Checks that [`wanted`] would succeed, without a request to the server.
pub(super) async fn check(config: &Config) -> Result<(), AppError> {
    if config.storage.cache.blobdescriptor == Some(DescriptorCacheKind::Redis)
        && let Some(settings) = config.redis.as_ref().and_then(settings)
    {
        RedisDescriptors::new(&settings).await?;
    }
    Ok(())
}

fn settings(redis: &RedisConfig) -> Option<RedisSettings> {
    let tls = redis.tls.as_ref().map(|tls| RedisTlsSettings {
        client: tls.certificate.clone().zip(tls.key.clone()),
        authorities: tls.rootcas.clone(),
    });
    Some(RedisSettings {
        address: redis.server()?.to_owned(),
        username: redis.username.clone().filter(|username| !username.is_empty()),
        password: redis.password.as_ref().map(|password| password.expose().clone()),
        database: redis.db.unwrap_or(0),
        resp3: redis.protocol == Some(3),
        connect_timeout: redis.dialtimeout,
        response_timeout: redis.readtimeout,
        tls,
    })
}
