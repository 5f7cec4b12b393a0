//! `auth: none`: every client may do everything.

use async_trait::async_trait;

use super::access::Access;
use super::controller::{AccessController, Credentials, Denied, Grant};

/// Grants everything to every client, whatever credentials it sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

#[async_trait]
impl AccessController for Anonymous {
    async fn authorize(&self, _: &Credentials<'_>, _: &[Access]) -> Result<Grant, Denied> {
        Ok(Grant::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_client_may_do_everything() {
        let grant = Anonymous.authorize(&Credentials::default(), &[Access::catalog()]).await;
        assert!(grant.is_ok_and(|grant| grant.user.is_none() && grant.view.is_everything()));
    }
}
