use super::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.key");
    let made = open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    let again = open(&path).unwrap();
    assert_eq!(again.public_key(), made.public_key());
    assert_eq!(format!("{made:?}"), format!("Signer {{ key_id: {:?}, .. }}", made.public_key().id()));
    assert_ne!(open(&tempfile::tempdir().unwrap().path().join("audit.key")).unwrap().public_key(), made.public_key());
}

#[test]
fn a_file_that_cannot_be_the_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.key");
    for (bytes, mode) in [(b"".as_slice(), 0o600), (b"hello", 0o600), (b"\xff\xfe", 0o600)] {
        fs::write(&path, bytes).unwrap();
        set_mode(&path, mode);
        let error = open(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    set_mode(&path, 0o644);
    fs::write(&path, "").unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("everybody (mode 644): chmod 600 it"), "{error}");
    let error = open(&folder.path().join("no/such/audit.key")).unwrap_err();
    assert!(matches!(error, KeyFileError::Write { .. }), "{error}");
}

#[test]
fn who_opens_a_new_key_at_once_has_the_same() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        let all_ready = std::sync::Barrier::new(4);
        let open_at_once = || {
            all_ready.wait();
            open(&path).unwrap().public_key()
        };
        let keys = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(open_at_once));
            threads.map(|t| t.join().unwrap())
        });
        assert!(keys.iter().all(|key| *key == open(&path).unwrap().public_key()), "{keys:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the key is left");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
