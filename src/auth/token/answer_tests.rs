//! Tests of responses: challenges that lead to a token, and grants.

use http::HeaderValue;

use super::*;

async fn answer(token: &Token, authorization: Option<&str>, wanted: &[Access]) -> Result<Grant, Denied> {
    let header = authorization.map(|text| HeaderValue::from_str(text).unwrap());
    let origin = || Some("https://registry.example.com".to_owned());
    let credentials =
        Credentials { authorization: header.as_ref(), origin: Some(&origin), ..Credentials::default() };
    token.authorize(&credentials, wanted).await
}

fn challenge(answer: Result<Grant, Denied>) -> String {
    match answer {
        Err(Denied::Challenge { challenges, .. }) if challenges.len() == 1 => {
            challenges[0].to_str().unwrap().to_owned()
        }
        other => panic!("not a challenge: {other:?}"),
    }
}

#[tokio::test]
async fn challenges_name_the_scopes_and_the_error() {
    let fixture = Fixture::new().await;
    let (app, other) = ("team/app".parse().unwrap(), "team/other".parse().unwrap());
    let wanted = [Access::pull(app), Access::push("team/app".parse().unwrap()), Access::pull(other)];
    let base = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com""#;
    let scoped = format!(r#"{base},scope="repository:team/app:pull,push repository:team/other:pull""#);
    let good = format!("Bearer {}", fixture.with_claims(&claims()));
    for (authorization, wanted, expected) in [
        (None, &[][..], base.to_owned()),
        (None, &wanted, scoped.clone()),
        (Some("Basic YTpi"), &wanted, scoped.clone()),
        (Some("Bearer"), &wanted, scoped.clone()),
        (Some("Bearer "), &wanted, scoped.clone()),
        (Some("Bearer x"), &wanted, format!(r#"{scoped},error="invalid_token""#)),
        (Some("Bearer x"), &[], format!(r#"{base},error="invalid_token""#)),
        (Some(&good), &wanted, format!(r#"{scoped},error="insufficient_scope""#)),
        (
            Some(&good),
            &[Access::catalog()],
            format!(r#"{base},scope="registry:catalog:*",error="insufficient_scope""#),
        ),
        (
            Some(&good),
            &[Access::delete("team/app".parse().unwrap())],
            format!(r#"{base},scope="repository:team/app:delete",error="insufficient_scope""#),
        ),
    ] {
        assert_eq!(challenge(answer(&fixture.token, authorization, wanted).await), expected);
    }
    let grant = answer(&fixture.token, Some(&good.replace("Bearer", "bearer")), &wanted[..2]).await.unwrap();
    assert_eq!(grant.user.as_deref(), Some("anne"));
}

#[tokio::test]
async fn a_token_may_be_anonymous() {
    let fixture = Fixture::new().await;
    for sub in [json!(""), Value::Null] {
        let mut nobody = claims();
        (nobody["sub"], nobody["access"]) = (sub, json!([]));
        let shown = format!("Bearer {}", fixture.with_claims(&nobody));
        assert_eq!(answer(&fixture.token, Some(&shown), &[]).await.unwrap().user, None);
        assert!(answer(&fixture.token, Some(&shown), &[Access::catalog()]).await.is_err());
    }
}

#[tokio::test]
async fn the_realm_can_be_a_path_on_the_requested_host() {
    let fixture = Fixture::with(|settings| {
        settings.realm =
            Realm::OwnHost { path: "/auth/token".to_owned(), otherwise: "https://x/".to_owned() };
    })
    .await;
    let expected = r#"Bearer realm="https://registry.example.com/auth/token",service="registry.example.com""#;
    assert_eq!(challenge(answer(&fixture.token, None, &[]).await), expected);
    let unknown = fixture.token.authorize(&Credentials::default(), &[]).await;
    assert!(challenge(unknown).contains(r#"realm="https://x/""#));
}
