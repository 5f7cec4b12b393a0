//! Makes the settings of token authentication from `auth.token`.

use sampan_config::{KeySetPlace, SigningAlgorithm, TokenConfig};

use crate::auth::token::{KeySettings, Realm, RemoteKeys, TokenSettings};

/// The token settings of `config`.
pub(super) fn settings(config: &TokenConfig) -> TokenSettings {
    let algorithms = match config.signingalgorithms.as_slice() {
        [] => SigningAlgorithm::asymmetric(),
        chosen => chosen.to_vec(),
    };
    let realm = match config.autoredirect {
        false => Realm::Fixed(config.realm.clone()),
        true => Realm::OwnHost { path: config.autoredirectpath.clone(), otherwise: config.realm.clone() },
    };
    let (jwks, remote) = match &config.jwks {
        None => (None, None),
        Some(KeySetPlace::File(path)) => (Some(path.clone()), None),
        Some(KeySetPlace::Url(url)) => {
            let (authorities, refresh) = (config.jwksca.clone(), config.jwksrefresh);
            (None, Some(RemoteKeys { url: url.clone(), authorities, refresh }))
        }
    };
    let secrets = algorithms.iter().any(|algorithm| algorithm.is_symmetric());
    TokenSettings {
        realm,
        service: config.service.clone(),
        issuer: config.issuer.clone(),
        algorithms,
        keys: KeySettings { bundle: config.rootcertbundle.clone(), jwks, remote, secrets },
    }
}
