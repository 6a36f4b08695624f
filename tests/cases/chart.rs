//! The Helm chart: what it renders is what the daemon takes.

use std::path::Path;
use std::process::Command;

#[test]
fn the_chart_renders_configurations_that_the_daemon_takes_and_refuses_values_that_it_cannot_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let go = Command::new("go").arg("version").output().is_ok_and(|o| o.status.success());
    if !go && !root.join(".cache/bin/helm").exists() {
        eprintln!("the chart is not looked at: helm is built by Go, which is not installed");
        return;
    }
    let binary = env!("CARGO_BIN_EXE_driftgate");
    let run =
        Command::new("tests/support/chart.sh").current_dir(root).env("DRIFTGATE_BINARY", binary).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&run.stdout).contains("pass the daemon's check"), "{said}");
}
