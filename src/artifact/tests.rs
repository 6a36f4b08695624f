use std::os::unix::fs::symlink;

use super::*;
use driftgate_core::codec::hash;

/// A policy whose own folder this is.
fn policy(folder: &Path) -> Policy {
    let text = "apiVersion: driftgate/v1\nmodel: m\nfeatures: {numeric: [a]}\n\
                checks: {g: {window: {size: 1h, slide: 1h}, rules: [psi: {of: features, lt: 0.2}]}}\n";
    driftgate_core::policy::parse(text, &folder.join("p.yaml")).unwrap()
}

fn asked(artifacts: &Artifacts, policy: &Policy, location: &str) -> Recomputed {
    artifacts.look(PATIENCE, [(policy, location, &Task::Digest)]);
    artifacts.known(policy, location, &Task::Digest)
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_file_has_the_digest_that_sha256sum_prints_and_a_change_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, artifacts) = (policy(folder.path()), Artifacts::default());
    std::fs::write(folder.path().join("model.bin"), "abc").unwrap();
    let of = || asked(&artifacts, &policy, "model.bin");
    assert_eq!(of(), Recomputed::Known(ABC.into()));
    assert_eq!(of(), Recomputed::Known(ABC.into()), "from memory");
    assert_eq!(digest(folder.path().join("model.bin").to_str().unwrap()).as_deref(), Ok(ABC));
    std::fs::write(folder.path().join("model.bin"), "abcd").unwrap();
    assert!(matches!(of(), Recomputed::Known(other) if other != ABC));
}

#[test]
fn a_folder_is_its_files_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/b"), "abc").unwrap();
    std::fs::write(folder.path().join("a"), "").unwrap();
    let lines = format!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n{ABC}  sub/b\n");
    assert_eq!(digest(folder.path().to_str().unwrap()), Ok(hash::sha256_hex(lines.as_bytes())));
}

#[test]
fn what_is_not_reachable_says_why() {
    assert!(digest("s3://bucket/model").unwrap_err().contains("not a path of this machine"));
    assert!(digest("no/such/model").unwrap_err().starts_with("no/such/model cannot be read: "));
    let folder = tempfile::tempdir().unwrap();
    assert!(digest(folder.path().to_str().unwrap()).unwrap_err().ends_with("holds no files"));
    let device = digest("/dev/zero").unwrap_err();
    assert!(device.ends_with("is not a regular file"), "{device}");
}

#[test]
fn an_artifact_lies_where_artifacts_may_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (own, elsewhere) = (folder.path().join("own"), folder.path().join("elsewhere"));
    for at in [&own, &elsewhere] {
        std::fs::create_dir(at).unwrap();
        std::fs::write(at.join("model.bin"), "abc").unwrap();
    }
    symlink(elsewhere.join("model.bin"), own.join("link.bin")).unwrap();
    std::fs::create_dir(own.join("linked")).unwrap();
    symlink(&elsewhere, own.join("linked/sub")).unwrap();
    std::fs::create_dir(own.join("round")).unwrap();
    symlink(own.join("round"), own.join("round/again")).unwrap();
    let policy = policy(&own);
    let artifacts = Artifacts::default();
    assert_eq!(asked(&artifacts, &policy, "model.bin"), Recomputed::Known(ABC.into()));
    let outside = elsewhere.join("model.bin");
    for refused in [
        outside.to_str().unwrap(),
        "../elsewhere/model.bin",
        "/dev/zero",
        "link.bin",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "s3://other/model",
    ] {
        let found = asked(&artifacts, &policy, refused);
        assert!(matches!(&found, Recomputed::Refused(why) if why.contains("lies outside of")), "{refused}: {found:?}");
    }
    let within = asked(&artifacts, &policy, "linked");
    assert!(matches!(&within, Recomputed::Unreachable(why) if why.contains("leads out of where")), "{within:?}");
    let round = asked(&artifacts, &policy, "round");
    assert!(matches!(&round, Recomputed::Unreachable(why) if why.contains("link to a folder above")), "{round:?}");
    let more = Places::parse(folder.path(), &["elsewhere".to_owned()]).unwrap();
    let artifacts = Artifacts::new(more, Stores::default(), None);
    assert_eq!(asked(&artifacts, &policy, outside.to_str().unwrap()), Recomputed::Known(ABC.into()));
    assert_eq!(asked(&artifacts, &policy, "link.bin"), Recomputed::Known(ABC.into()));
}

#[test]
fn what_was_found_outlasts_the_process_as_long_as_the_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(folder.path());
    let (model, registry) = (folder.path().join("model.bin"), folder.path().join("registry.db"));
    std::fs::write(&model, "abc").unwrap();
    let fresh = || Artifacts::new(Places::default(), Stores::default(), Some(&registry));
    assert_eq!(asked(&fresh(), &policy, "model.bin"), Recomputed::Known(ABC.into()));
    // What is kept is believed, so that nothing is read again.
    let kept = rusqlite::Connection::open(&registry).unwrap();
    let row = || {
        let column = |row: &rusqlite::Row<'_>, at: usize| row.get::<_, String>(at).unwrap();
        kept.query_row("SELECT location, task, stamp FROM artifacts", [], |r| Ok([0, 1, 2].map(|at| column(r, at))))
    };
    let [location, task, stamp] = row().unwrap();
    kept::write(&registry, &location, &task, &stamp, "kept");
    assert_eq!(asked(&fresh(), &policy, "model.bin"), Recomputed::Known("kept".into()));
    // But not for a promotion, to which a shared mapping may have written meanwhile.
    let (again, began) = (fresh(), Instant::now());
    let since = || again.known_since(&policy, "model.bin", &Task::Digest, began);
    assert_eq!(asked(&again, &policy, "model.bin"), Recomputed::Known("kept".into()));
    assert!(matches!(since(), Recomputed::Computing(why) if why.contains("has to be read anew")));
    again.read_anew(PATIENCE, &[(&policy, "model.bin", &Task::Digest)]);
    assert_eq!(since(), Recomputed::Known(ABC.into()));
    let later = again.known_since(&policy, "model.bin", &Task::Digest, Instant::now());
    assert!(matches!(later, Recomputed::Computing(_)), "the next promotion reads it again: {later:?}");
    // What somebody else wrote there is not believed either, and it is named.
    kept.execute("UPDATE artifacts SET found = 'planted'", []).unwrap();
    let key = crate::audit_key::open(&registry.with_extension("audit-key")).unwrap().public_key();
    let unsigned = || kept::unsigned(&kept, &std::iter::once(key).collect()).unwrap();
    assert_eq!(unsigned(), std::slice::from_ref(&location));
    assert_eq!(asked(&fresh(), &policy, "model.bin"), Recomputed::Known(ABC.into()));
    assert_eq!(unsigned(), Vec::<String>::new());
    let [_, _, stamp] = row().unwrap();
    kept::write(&registry, &location, &task, &stamp, "kept");
    let same = std::fs::metadata(&model).unwrap().modified().unwrap();
    std::fs::write(&model, "abd").unwrap();
    std::fs::File::options().write(true).open(&model).unwrap().set_modified(same).unwrap();
    assert!(matches!(asked(&fresh(), &policy, "model.bin"), Recomputed::Known(now) if now != ABC && now != "kept"));
}

#[test]
fn what_takes_long_is_told_with_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, artifacts) = (policy(folder.path()), Artifacts::default());
    // Takes no room, and minutes to read.
    let file = std::fs::File::create(folder.path().join("large.bin")).unwrap();
    file.set_len(500 << 30).unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        let found = asked(&artifacts, &policy, "large.bin");
        let text = "the digest of large.bin is being computed, ";
        assert!(
            matches!(&found, Recomputed::Computing(how_far) if how_far.starts_with(text) && how_far.ends_with(" of 536870912000 bytes")),
            "{found:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(2), "it is waited for once");
    file.set_len(2 << 40).unwrap();
    let other = Artifacts::default();
    let found = asked(&other, &policy, "large.bin");
    assert!(matches!(&found, Recomputed::Unreachable(why) if why.contains("more than")), "{found:?}");
}

/// A copy of the model that the tool signed, and what a bundle of its lists.
fn signed(name: &str) -> (tempfile::TempDir, Policy, Task) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/model_signing");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("model/weights")).unwrap();
    for file in ["model/config.json", "model/weights/part-1.bin", "model/weights/part-2.bin", "single.bin"] {
        std::fs::copy(data.join(file), folder.path().join(file)).unwrap();
    }
    let text = std::fs::read_to_string(data.join(format!("{name}.sig"))).unwrap();
    let listed = driftgate_core::promotion::model_signing::listed(&serde_json::from_str(&text).unwrap()).unwrap();
    let policy = policy(folder.path());
    (folder, policy, Task::Listed(listed))
}

fn compared(policy: &Policy, location: &str, task: &Task) -> Recomputed {
    let artifacts = Artifacts::default();
    artifacts.finish(policy, location, task);
    artifacts.known(policy, location, task)
}

#[test]
fn the_files_are_those_that_are_listed_and_no_others() {
    for name in ["p256", "blake2", "blake3", "shards", "shards-blake2"] {
        let (folder, policy, task) = signed(name);
        let of = || compared(&policy, "model", &task);
        let differs = |says: &str| {
            let found = of();
            assert!(matches!(&found, Recomputed::Unreachable(why) if why.contains(says)), "{name}: {found:?}");
        };
        let all = "3 files are as they were signed, and no other lies beside them";
        assert_eq!(of(), Recomputed::Known(all.into()), "{name}");
        let at = |file: &str| folder.path().join("model").join(file);
        // What the statement ignores may lie there.
        std::fs::create_dir(at(".git")).unwrap();
        std::fs::write(at(".git/HEAD"), "ref").unwrap();
        assert_eq!(of(), Recomputed::Known(all.into()), "{name}");
        std::fs::write(at(".github-not"), "x").unwrap();
        differs("\".github-not\" lies beside what the signature lists");
        std::fs::write(at(".github-not"), "").unwrap();
        differs("\".github-not\" lies beside what the signature lists");
        std::fs::remove_file(at(".github-not")).unwrap();
        let whole = std::fs::read(at("weights/part-1.bin")).unwrap();
        let mut other = whole.clone();
        other[249] ^= 1;
        std::fs::write(at("weights/part-1.bin"), &other).unwrap();
        differs("\"weights/part-1.bin\" is another file than the one that was signed");
        for other in [&whole[..200], &[whole.as_slice(), b"more"].concat()] {
            std::fs::write(at("weights/part-1.bin"), other).unwrap();
            differs("\"weights/part-1.bin\" ");
        }
        std::fs::remove_file(at("weights/part-1.bin")).unwrap();
        differs("the signature lists \"weights/part-1.bin\", which is missing");
        std::fs::write(at("weights/part-0.bin"), &whole).unwrap();
        differs("which is missing, and \"weights/part-0.bin\" is there unsigned");
        std::fs::rename(at("weights/part-0.bin"), at("weights/part-1.bin")).unwrap();
        symlink(at("config.json"), at("model.sig")).unwrap();
        differs("\"model.sig\" is a link, and the signature allows none");
    }
}

#[test]
fn a_single_file_and_links_are_listed_too() {
    let (folder, policy, task) = signed("single");
    assert!(matches!(compared(&policy, "single.bin", &task), Recomputed::Known(_)));
    assert!(matches!(compared(&policy, "model", &task), Recomputed::Unreachable(_)));
    std::fs::write(folder.path().join("single.bin"), "another").unwrap();
    assert!(matches!(compared(&policy, "single.bin", &task), Recomputed::Unreachable(_)));
    let (folder, policy, task) = signed("links");
    symlink("config.json", folder.path().join("model/link.json")).unwrap();
    assert!(matches!(compared(&policy, "model", &task), Recomputed::Known(_)));
    std::fs::create_dir(folder.path().join("beside")).unwrap();
    std::fs::write(folder.path().join("beside/evil.py"), "x").unwrap();
    symlink(folder.path().join("beside"), folder.path().join("model/code")).unwrap();
    let found = compared(&policy, "model", &task);
    assert!(
        matches!(&found, Recomputed::Unreachable(why) if why.contains("\"code/evil.py\" lies beside")),
        "{found:?}"
    );
}

#[test]
fn a_folder_that_a_link_takes_the_place_of_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().canonicalize().unwrap().join("own");
    std::fs::create_dir_all(own.join("a")).unwrap();
    std::fs::write(own.join("a/model.bin"), "bytes").unwrap();
    let (parts, _) = files::list(&own, &|_| true, &own::Resolved::default()).unwrap();
    let [part::Part { at: part::At::File { path, state }, .. }] = parts.as_slice() else { panic!("one file") };
    assert_eq!(files::read(path, state, &mut |_| Ok(())), Ok(()));
    // The same file, state and all, by another way.
    std::fs::rename(own.join("a"), folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), own.join("a")).unwrap();
    let why = files::read(path, state, &mut |_| Ok(())).unwrap_err();
    assert!(why.contains("lies elsewhere than it was listed"), "{why}");
}
