//! Claims to callers, without an issuer; signatures are tested against a real one (cases/attacks/oidc).

use serde_json::json;

use super::*;
use crate::http::auth::Roles;

const ISSUER: &str = "https://login.example.com/realms/ml";

fn issuer(claim: &str, actor: &str) -> Issuer {
    let grant = |roles: &str, models: &str| Grant { roles: Roles::parse(roles).unwrap(), models: models.to_owned() };
    Issuer::new(OidcConfig {
        issuer: ISSUER.into(),
        audience: vec!["driftgate".into()],
        claim: claim.into(),
        grants: vec![
            ("ml-operators".into(), grant("operator", "*")),
            ("fraud-owners".into(), grant("approver:owner", "fraud_*")),
        ],
        actor: actor.into(),
        every: Duration::from_secs(600),
        ca_file: None,
        sign_in: None,
    })
}

fn of(claim: &str, actor: &str, claims: Value) -> Result<(String, usize), String> {
    let mut all = json!({"iss": ISSUER, "sub": "f81d", "email": "ann@example.com"});
    let Value::Object(claims) = claims else { panic!("no object: {claims}") };
    all.as_object_mut().unwrap().extend(claims);
    let caller = issuer(claim, actor).caller(&all);
    caller.map(|caller| (caller.actor, caller.grants.len())).map_err(|e| e.to_string())
}

#[test]
fn a_claim_is_a_text_or_a_list_wherever_it_lies() {
    let ann = |grants| Ok((format!("oidc:{ISSUER}#f81d"), grants));
    assert_eq!(of("groups", "sub", json!({"groups": "ml-operators"})), ann(1));
    assert_eq!(of("groups", "sub", json!({"groups": ["x", "ml-operators", 3, "fraud-owners"]})), ann(2));
    assert_eq!(of("realm_access.roles", "sub", json!({"realm_access": {"roles": ["fraud-owners"]}})), ann(1));
    assert_eq!(of("https://x.com/roles", "sub", json!({"https://x.com/roles": ["fraud-owners"]})), ann(1));
    assert_eq!(of("scope", "sub", json!({"scope": "openid ml-operators"})), ann(1));
    // Only a scope is a list in one text: a group may have any name.
    for other in [
        json!({"groups": "x ml-operators"}),
        json!({"groups": {"ml-operators": true}}),
        json!({}),
        json!({"groups": ["ML-operators"]}),
    ] {
        let why = of("groups", "sub", other).unwrap_err();
        assert!(why.contains("gives no role here"), "{why}");
    }
}

#[test]
fn the_actor_is_the_issuers_word_and_nobody_elses() {
    let groups = json!({"groups": "ml-operators"});
    assert_eq!(of("groups", "email", groups.clone()).unwrap().0, format!("oidc:{ISSUER}#ann@example.com"));
    let with = |more: Value| {
        let mut all = groups.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    assert!(of("groups", "email", with(json!({"email_verified": true}))).is_ok());
    for (actor, more, why) in [
        ("email", json!({"email_verified": false}), "not verified"),
        ("email", json!({"email_verified": "true"}), "not verified"),
        ("sub", json!({"sub": ""}), "no claim \"sub\""),
        ("sub", json!({"sub": 7}), "no claim \"sub\""),
        ("name", json!({}), "no claim \"name\""),
        ("sub", json!({"sub": "a b"}), "cannot stand in the audit log"),
        ("sub", json!({"sub": "a\u{1b}[2J"}), "cannot stand in the audit log"),
        ("sub", json!({"sub": "a".repeat(300)}), "cannot stand in the audit log"),
        ("sub", json!({"iss": [ISSUER, "https://evil"]}), "several issuers"),
    ] {
        let told = of("groups", actor, with(more)).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    // And no token of a file has such a name.
    let line = format!("0123456789abcdef01234567 operator * oidc:{ISSUER}#f81d");
    let told = crate::http::Tokens::parse(&line).unwrap_err()[0].to_string();
    assert!(told.contains("the actor begins with oidc:"), "{told}");
}

#[test]
fn only_keys_of_pairs_are_kept_and_each_for_its_algorithms() {
    let n = "u".repeat(341) + "A";
    let set = json!({"keys": [
        {"kty": "RSA", "kid": "r", "n": n, "e": "AQAB"},
        {"kty": "RSA", "kid": "ps", "alg": "PS256", "n": n, "e": "AQAB", "use": "sig"},
        {"kty": "RSA", "kid": "enc", "use": "enc", "n": n, "e": "AQAB"},
        {"kty": "RSA", "kid": "short", "n": "u".repeat(170), "e": "AQAB"},
        {"kty": "RSA", "kid": "oaep", "alg": "RSA-OAEP", "n": n, "e": "AQAB"},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty": "weird", "kid": "w"},
    ]});
    let keys = Keys::read(&set).unwrap();
    let of = |kid: &str, algorithm| keys.of(Some(kid), algorithm).count();
    assert_eq!((of("r", Algorithm::RS256), of("r", Algorithm::PS512), of("r", Algorithm::ES256)), (1, 1, 0));
    assert_eq!((of("ps", Algorithm::PS256), of("ps", Algorithm::RS256)), (1, 0));
    assert_eq!((of("e", Algorithm::ES256), of("e", Algorithm::ES384), of("e", Algorithm::RS256)), (1, 0, 0));
    for kid in ["enc", "short", "oaep", "secret", "w"] {
        assert!(!keys.knows(Some(kid)), "{kid}");
    }
    assert_eq!(of("r", Algorithm::HS256), 0);
    // Without a name the only key is meant, and of several none.
    assert_eq!(keys.of(None, Algorithm::RS256).count(), 0);
    assert!(Keys::read(&json!({"keys": []})).is_err() && Keys::read(&json!({})).is_err());
}
