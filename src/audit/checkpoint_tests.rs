use super::*;

fn signer(folder: &Path) -> Signer {
    Signer::open(&folder.join("audit.key")).unwrap()
}

fn head() -> Head {
    Head { seq: 7, hash: sha256_hex(b"seven") }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.key");
    let made = Signer::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    let again = Signer::open(&path).unwrap();
    assert_eq!(again.public_key(), made.public_key());
    assert_eq!(format!("{made:?}"), format!("Signer {{ key_id: {:?}, .. }}", made.public_key().id()));
    assert_ne!(signer(tempfile::tempdir().unwrap().path()).public_key(), made.public_key());
}

#[test]
fn a_key_that_openssl_made_is_read_and_its_public_key_written_as_openssl_does() {
    // The example of RFC 8410, section 10.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.key");
    fs::write(&path, PRIVATE).unwrap();
    set_mode(&path, 0o440);
    let public = Signer::open(&path).unwrap().public_key();
    assert_eq!(public.to_pem(), PUBLIC);
    assert_eq!(PublicKey::parse(PUBLIC).unwrap(), public);
    assert_eq!(PublicKey::parse(" Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n").unwrap(), public);
    assert_eq!(public.id(), sha256_hex(&public.0)[..16]);
    for bad in ["", "Gb9E", PRIVATE, "-----BEGIN PUBLIC KEY-----\nGb9E\n-----END PUBLIC KEY-----"] {
        assert!(matches!(PublicKey::parse(bad), Err(KeyError::NotPublic)), "{bad}");
    }
}

#[test]
fn a_file_that_cannot_be_the_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.key");
    for (bytes, mode) in [(b"".as_slice(), 0o600), (b"hello", 0o600), (b"\xff\xfe", 0o600)] {
        fs::write(&path, bytes).unwrap();
        set_mode(&path, mode);
        let error = Signer::open(&path).unwrap_err();
        assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    set_mode(&path, 0o644);
    fs::write(&path, "").unwrap();
    let error = Signer::open(&path).unwrap_err().to_string();
    assert!(error.contains("everybody (mode 644): chmod 600 it"), "{error}");
    let error = Signer::open(&folder.path().join("no/such/audit.key")).unwrap_err();
    assert!(matches!(error, KeyError::Write { .. }), "{error}");
}

#[test]
fn who_opens_a_new_key_at_once_has_the_same() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        let all_ready = std::sync::Barrier::new(4);
        let open = || {
            all_ready.wait();
            Signer::open(&path).unwrap().public_key()
        };
        let keys = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(open));
            threads.map(|t| t.join().unwrap())
        });
        assert!(keys.iter().all(|key| *key == Signer::open(&path).unwrap().public_key()), "{keys:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the key is left");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_checkpoint_has_a_fixed_form() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let checkpoint = signer.sign(&head(), 1_362_096_000_000);
    let json = serde_json::to_string(&checkpoint).unwrap();
    let Checkpoint { hash, key_id, signature, .. } = &checkpoint;
    assert_eq!(
        json,
        format!(
            r#"{{"seq":7,"hash":"{hash}","ts":"2013-03-01T00:00:00Z","key_id":"{key_id}","signature":"{signature}"}}"#
        )
    );
    assert_eq!(checkpoint.message(), format!("driftgate-audit-v1\n7\n{hash}\n2013-03-01T00:00:00Z"));
    assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
}

#[test]
fn only_what_was_signed_verifies() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (signer, other) = (signer(one.path()), signer(two.path()));
    let keys: PublicKeys = [signer.public_key()].into_iter().collect();
    let good = signer.sign(&head(), 0);
    assert_eq!(verify_checkpoint(&good, &keys), Ok(()));
    let foreign = other.sign(&head(), 0);
    assert_eq!(verify_checkpoint(&foreign, &keys), Err(BadCheckpoint::UnknownKey));
    let claimed = Checkpoint { key_id: signer.public_key().id(), ..foreign };
    for bad in [
        claimed,
        Checkpoint { seq: 8, ..good.clone() },
        Checkpoint { hash: sha256_hex(b"eight"), ..good.clone() },
        Checkpoint { ts: "1970-01-01T00:00:01Z".into(), ..good.clone() },
        Checkpoint { signature: "?".into(), ..good.clone() },
        Checkpoint { signature: String::new(), ..good },
    ] {
        assert_eq!(verify_checkpoint(&bad, &keys), Err(BadCheckpoint::Signature), "{bad:?}");
    }
}
