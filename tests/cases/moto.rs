//! moto: S3 with the bucket `lake`, and `SageMaker`, on loopback.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::support::{Served, interpreter};

/// A server of its own, which ends with this.
pub struct Moto(Served);

impl Moto {
    pub fn start() -> Self {
        Self(Served::start(Command::new(in_support("s3.sh")).stderr(Stdio::null())))
    }

    pub fn url(&self) -> &str {
        &self.0.said
    }

    /// What a script of `tests/support/s3` prints, which asks by AWS' own client.
    pub fn asked(&self, script: &str, arguments: &[&str]) -> String {
        let mut python = Command::new(interpreter("s3", "moto is"));
        let done = python.arg(in_support("s3").join(script)).arg(self.url()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

fn in_support(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}
