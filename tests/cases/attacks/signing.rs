//! Models signed with the tool of the Open Source Security Foundation (`tests/data/model_signing`, made by `make.py` there), and what somebody would try with
//! such signatures: another file, one more, one less, another key, statements that lead out of the model.

use std::path::Path;

use crate::support::{Folder, Run, SIGNED};

const CONFIG: &str = "\
policies: [policy.yaml]
state: {path: state}
registry: {embedded: {path: registry.db}}
http: {listen: \"127.0.0.1:0\"}
";

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/model_signing").join(name)
}

/// What a policy pins under an id.
fn pinned(id: &str, key: &str, file: &str, more: &str) -> String {
    let pem = std::fs::read_to_string(data(file)).unwrap().replace('\n', "\n      ");
    format!("  - id: {id}\n    format: model_signing\n{more}    {key}: |\n      {pem}\n")
}

struct Team(Folder);

impl Team {
    fn new() -> Self {
        let folder = Folder::new();
        let identity = "    identity: release@company.example\n";
        let keys = pinned("models", "public_key", "p256.pub.pem", "")
            + &pinned("large", "public_key", "p521.pub.pem", "")
            + &pinned("company", "ca_certificates", "ca.pem", identity);
        folder.write("policy.yaml", SIGNED.to_owned() + &keys);
        folder.write("driftgate.yaml", CONFIG);
        Self(folder)
    }

    /// Copies the model, changes it, and registers it with a signature.
    fn register(&self, version: &str, signature: &str, change: impl FnOnce(&Path)) -> Run {
        let model = self.0.path(&format!("model-{version}"));
        std::fs::create_dir_all(model.join("weights")).unwrap();
        for file in ["config.json", "weights/part-1.bin", "weights/part-2.bin"] {
            std::fs::copy(data("model").join(file), model.join(file)).unwrap();
        }
        change(&model);
        let run = |arguments: &str| self.0.driftgate(&format!("{arguments} --config driftgate.yaml"));
        run(&format!("register signed {version} --artifact {}", model.display())).exits(0);
        let attached = run(&format!("evidence add signed {version} --signature {}", data(signature).display()));
        if attached.code != Some(0) {
            return attached;
        }
        run(&format!("gate signed {version} --to staging"))
    }
}

fn unchanged(_: &Path) {}

#[test]
fn a_signed_model_is_promoted_and_a_changed_one_is_not() {
    let team = Team::new();
    let all = "3 files are as they were signed, and no other lies beside them";
    for (version, signature, by) in [
        ("1", "p256.sig", "signed by key \"models\": "),
        ("2", "p521.sig", "signed by key \"large\": "),
        ("3", "shards.sig", "signed by key \"models\": "),
        ("4", "blake2.sig", "signed by key \"models\": "),
        ("5", "blake3.sig", "signed by key \"models\": "),
        ("6", "chain.sig", "signed by \"release@company.example\" under the CA \"company\": "),
    ] {
        team.register(version, signature, unchanged).exits(0).prints(&format!("{by}{all}"));
    }
    let tampered = |model: &Path| std::fs::write(model.join("config.json"), "{\"layers\": 3}\n").unwrap();
    let extra = |model: &Path| std::fs::write(model.join("evil.py"), "import os\n").unwrap();
    let missing = |model: &Path| std::fs::remove_file(model.join("weights/part-2.bin")).unwrap();
    team.register("11", "p256.sig", tampered)
        .exits(1)
        .prints("\"config.json\" is another file than the one that was signed");
    team.register("12", "p256.sig", extra).exits(1).prints("\"evil.py\" lies beside what the signature lists");
    team.register("13", "p256.sig", missing).exits(1).prints("lists \"weights/part-2.bin\", which is missing");
    for (version, signature, says) in [
        ("14", "other.sig", "models: the bundle names another key"),
        ("15", "p384.sig", "models: the bundle names another key"),
        ("16", "expired.sig", "a certificate of its chain has expired"),
        ("17", "server.sig", "its certificate is not for code signing"),
    ] {
        team.register(version, signature, unchanged).exits(1).prints(says);
    }
    // What was verified once is looked at again when it changes.
    team.0.write("model-1/config.json", "{\"layers\": 9}\n");
    let again = team.0.driftgate("gate signed 1 --to staging --config driftgate.yaml").exits(1);
    again.prints("another file than the one that was signed");
}

#[test]
fn what_is_no_signature_of_a_model_is_not_attached() {
    let team = Team::new();
    for (n, (signature, says)) in [
        ("traversal.sig", "\"../config.json\" is no name of a file within the model"),
        ("absolute.sig", "\"/etc/passwd\" is no name of a file within the model"),
        ("swapped.sig", "contradicts itself"),
        ("twice.sig", "lists \"config.json\" 2 times"),
        ("nothing.sig", "lists no file"),
        ("ignores-all.sig", "ignores \".\""),
        ("payload-type.sig", "its payloadType is \"text/plain\""),
        ("two-signatures.sig", "it holds 2 signatures; a bundle has one"),
        ("keyless.sig", "it is keyless"),
    ]
    .into_iter()
    .enumerate()
    {
        team.register(&n.to_string(), signature, unchanged).exits(2).says(says);
    }
}
