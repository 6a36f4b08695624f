//! The Python package with the binary of this build: runs the suites of `tests/python`.

use std::path::Path;
use std::process::Command;

/// Runs a suite; it has to run at least one test, skip none and pass.
#[track_caller]
fn passes(python: &Path, suite: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .args(["-m", "unittest", "--verbose", suite])
        .current_dir(root.join("tests/python"))
        .env("PYTHONPATH", root.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DRIFTGATE_BINARY", env!("CARGO_BIN_EXE_driftgate"))
        .output()
        .unwrap_or_else(|e| panic!("{} cannot be run: {e}", python.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    let ran = said.lines().filter_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u32>().ok()).next();
    let passed = output.status.success() && ran.is_some_and(|tests| tests > 0) && said.lines().any(|line| line == "OK");
    assert!(passed, "{suite} of tests/python: {}\n{}\n{said}", output.status, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn replay_gives_the_bytes_of_the_command_and_errors_hold_its_text() {
    passes(Path::new("python3"), "test_replay");
}
