use super::*;

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; SEED_BYTES]).unwrap().0
}

fn head() -> Head {
    Head { seq: 7, hash: sha256_hex(b"seven") }
}

#[test]
fn a_key_that_openssl_made_is_read_and_its_public_key_written_as_openssl_does() {
    // The example of RFC 8410, section 10.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let public = Signer::from_pem(PRIVATE).unwrap().public_key();
    assert_eq!(public.to_pem(), PUBLIC);
    assert_eq!(PublicKey::parse(PUBLIC).unwrap(), public);
    assert_eq!(PublicKey::parse(" Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n").unwrap(), public);
    assert_eq!(public.id(), sha256_hex(&public.0)[..16]);
    for bad in ["", "hello", PUBLIC] {
        assert_eq!(Signer::from_pem(bad).unwrap_err(), KeyError::NotPrivate, "{bad}");
    }
    let (made, pem) = Signer::from_seed(&[7; SEED_BYTES]).unwrap();
    assert_eq!(Signer::from_pem(&pem).unwrap().public_key(), made.public_key());
    for bad in ["", "Gb9E", PRIVATE, "-----BEGIN PUBLIC KEY-----\nGb9E\n-----END PUBLIC KEY-----"] {
        assert!(PublicKey::parse(bad) == Err(KeyError::NotPublic), "{bad}");
    }
}

#[test]
fn a_checkpoint_has_a_fixed_form() {
    let signer = signer(1);
    let checkpoint = signer.sign(&head(), 1_362_096_000_000);
    let json = serde_json::to_string(&checkpoint).unwrap();
    let SignedHead { hash, key_id, signature, .. } = &checkpoint;
    assert_eq!(
        json,
        format!(
            r#"{{"seq":7,"hash":"{hash}","ts":"2013-03-01T00:00:00Z","key_id":"{key_id}","signature":"{signature}"}}"#
        )
    );
    assert_eq!(checkpoint.message(), format!("driftgate-audit-v1\n7\n{hash}\n2013-03-01T00:00:00Z"));
    assert_eq!(serde_json::from_str::<SignedHead>(&json).unwrap(), checkpoint);
}

#[test]
fn only_what_was_signed_verifies() {
    let (signer, other) = (signer(1), signer(2));
    let keys: PublicKeys = [signer.public_key()].into_iter().collect();
    let good = signer.sign(&head(), 0);
    assert_eq!(verify_head(&good, &keys), Ok(()));
    let foreign = other.sign(&head(), 0);
    assert_eq!(verify_head(&foreign, &keys), Err(BadHead::UnknownKey));
    let claimed = SignedHead { key_id: signer.public_key().id(), ..foreign };
    for bad in [
        claimed,
        SignedHead { seq: 8, ..good.clone() },
        SignedHead { hash: sha256_hex(b"eight"), ..good.clone() },
        SignedHead { ts: "1970-01-01T00:00:01Z".into(), ..good.clone() },
        SignedHead { signature: "?".into(), ..good.clone() },
        SignedHead { signature: String::new(), ..good },
    ] {
        assert_eq!(verify_head(&bad, &keys), Err(BadHead::Signature), "{bad:?}");
    }
}
