//! The command `report` reads what runs wrote, and names what it cannot read.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::path::Path;
use std::process::Command;

fn report(runs: &[&Path], out: &Path) -> Result<(), String> {
    let program = env!("CARGO_BIN_EXE_sabha-loadgen");
    let output =
        Command::new(program).arg("report").args(runs).arg("--out").arg(out).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn missing_run_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (run, out) = (dir.path().join("run"), dir.path().join("out"));
    let message = report(&[&run], &out).unwrap_err();
    assert!(message.contains("run/report.json") && message.contains("--out"), "{message}");
    assert!(!out.exists());
}

#[test]
fn broken_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("report.json"), "{}").unwrap();
    let message = report(&[dir.path()], &dir.path().join("out")).unwrap_err();
    assert!(message.contains("report.json") && message.contains("repeat that run"), "{message}");
}
