//! Makes the settings of token authentication from `auth.token`.

use sampan_config::{KeySetPlace, SigningAlgorithm, TokenConfig};

use crate::auth::token::{Algorithm, KeySettings, Realm, RemoteKeys, TokenSettings};

/// The token settings of `config`.
pub(super) fn settings(config: &TokenConfig) -> TokenSettings {
    let algorithms: Vec<Algorithm> = match config.signingalgorithms.as_slice() {
        [] => Algorithm::defaults(),
        chosen => chosen.iter().copied().map(algorithm).collect(),
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

fn algorithm(configured: SigningAlgorithm) -> Algorithm {
    match configured {
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
        SigningAlgorithm::Hs256 => Algorithm::Hs256,
        SigningAlgorithm::Hs384 => Algorithm::Hs384,
        SigningAlgorithm::Hs512 => Algorithm::Hs512,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
        SigningAlgorithm::Rs384 => Algorithm::Rs384,
        SigningAlgorithm::Rs512 => Algorithm::Rs512,
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::Es384 => Algorithm::Es384,
        SigningAlgorithm::Es512 => Algorithm::Es512,
        SigningAlgorithm::Ps256 => Algorithm::Ps256,
        SigningAlgorithm::Ps384 => Algorithm::Ps384,
        SigningAlgorithm::Ps512 => Algorithm::Ps512,
    }
}
