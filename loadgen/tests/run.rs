//! The command `run`: a small real run, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs `sabha-loadgen` with a folder of the test's own.
fn loadgen(name: &str, arguments: &[&str]) -> (Output, PathBuf) {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new(env!("CARGO_BIN_EXE_sabha-loadgen"))
        .arg("run")
        .args(arguments)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    (output, out)
}

fn refusal(arguments: &[&str]) -> String {
    let (output, _) = loadgen("refused", arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Builds the program that the run starts; it is another package's.
fn sabha() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "sabha-control", "--bin", "sabha"])
        .status()
        .unwrap();
    assert!(built.success(), "`cargo build -p sabha-control` must work first");
    let path = Path::new(env!("CARGO_BIN_EXE_sabha-loadgen")).with_file_name("sabha");
    assert!(path.is_file(), "{}", path.display());
    path
}

fn count(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("{name} is {}", record[name]))
}

#[test]
fn small_run_is_real_from_enrolment_to_what_is_heard() {
    let sabha = sabha().display().to_string();
    let arguments = [
        ["--sabha", &sabha],
        ["--members", "6"],
        ["--talkers", "2"],
        ["--warm-up", "1"],
        ["--seconds", "21"],
        ["--processes", "2"],
    ];
    let mut arguments = arguments.concat();
    // What is in time on a busy machine is not this test's question.
    arguments.extend(["--no-floor", "--no-verdict"]);
    let (output, out) = loadgen("small", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out.join("report.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((count(&record, "members"), count(&record, "talkers")), (6, 2));
    assert_eq!((count(&record, "joined"), count(&record, "lost")), (6, 0));
    assert_eq!(record["refused"], 0);
    assert!(count(&record, "packets_in") > 0);
    assert!(count(&record, "frames_compared") > 0);
    assert_eq!(record["payload_mismatches"], 0);
    assert!(count(&record, "marks") > 0);
    assert!(record["node_cpu_cores"].as_f64().unwrap() > 0.0);
    let own_share_db = record["own_share_db"].as_f64().unwrap();
    assert!((-26.0..-14.0).contains(&own_share_db), "{own_share_db}");
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("<svg"));
    assert!(!out.join("state").exists(), "private keys are left behind");
}

#[test]
fn modes_that_do_not_exist_are_refused_by_name() {
    let text = refusal(&["--mode", "relay"]);
    assert!(text.contains("relay") && text.contains("bridge"), "{text}");
}

#[test]
fn runs_that_cannot_be_are_refused_with_a_reason() {
    let text = refusal(&["--members", "3", "--talkers", "5"]);
    assert!(text.contains("5 of 3 members"), "{text}");
    let text = refusal(&["--members", "5", "--talkers", "3", "--noisy", "3"]);
    assert!(text.contains("2 members"), "{text}");
    let text = refusal(&["--pattern", "alternate", "--talkers", "1"]);
    assert!(text.contains("two talkers"), "{text}");
    let text = refusal(&["--mode", "bridge", "--listener-packet", "60"]);
    assert!(text.contains("20 ms"), "{text}");
    let text = refusal(&["--mode", "bridge", "--members", "20", "--talkers", "17"]);
    assert!(text.contains("17 talkers"), "{text}");
    let text = refusal(&["--conferences", "200", "--members", "200"]);
    assert!(text.contains("40000 members"), "{text}");
    let text = refusal(&["--target", "sabha:abc"]);
    assert!(text.contains("--identities"), "{text}");
    let text = refusal(&["--node-arg", "legs_max"]);
    assert!(text.contains("KEY=VALUE"), "{text}");
    let text = refusal(&["--no-floor", "--sabha", "/nonexistent/sabha"]);
    assert!(text.contains("/nonexistent/sabha") && text.contains("--sabha"), "{text}");
}
