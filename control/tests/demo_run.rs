//! `sabha demo`, run as a person runs it: what it leaves behind, and whether that tells the truth.
#![allow(clippy::unwrap_used)]

use std::path::{Component, Path};
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn demo_of_three_leaves_a_report_that_others_can_read_and_its_exit_status_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &[]);
    let told = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let out = dir.path().join("out");
    let text = std::fs::read_to_string(out.join("report.json"));
    let text = text.unwrap_or_else(|error| panic!("no report ({error}):\n{told}"));
    let report: Value = serde_json::from_str(&text).unwrap();
    has_the_published_fields(&report);
    has_its_files(&out, &report);

    let checks = report["checks"].as_array().unwrap();
    let all = checks.iter().all(|check| check["ok"] == true);
    assert_eq!(report["ok"], all, "{told}");
    assert_eq!(output.status.code(), Some(i32::from(!all)), "{told}");
    for check in checks {
        // How long things take is the machine's business, not this test's.
        let is_timing = check["name"].as_str().unwrap().contains("delay");
        assert!(is_timing || check["ok"] == true, "{check}\n{told}");
    }
    assert!(told.contains(&format!("report {}", out.join("report.html").display())), "{told}");
}

#[test]
fn bad_network_harms_its_two_members_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--network", "5 1 20 2 1; spike 100 at 3"]);
    let told = String::from_utf8_lossy(&output.stdout);
    let text = std::fs::read_to_string(dir.path().join("out/report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let members = report["members"].as_array().unwrap();
    let impaired: Vec<_> = members.iter().map(|member| member["impaired"] == true).collect();
    assert_eq!(impaired, [true, false, true], "the first who talks, and the first who does not");
    assert!(members[2].get("reference_wav").is_none());
    for member in [&members[0], &members[2]] {
        assert!(member["lost"].as_u64() > Some(20), "{member}");
        let timeline = member["buffer_timeline_ms"].as_array().unwrap();
        assert!(timeline.iter().any(Value::is_number), "{member}");
        assert!(member["mos"].as_f64() < members[1]["mos"].as_f64(), "{member}\n{told}");
    }
    assert_eq!(members[1]["lost"], 0, "{told}");
    for check in report["checks"].as_array().unwrap() {
        let is_timing = check["name"].as_str().unwrap().contains("delay");
        assert!(is_timing || check["ok"] == true, "{check}\n{told}");
    }
}

#[test]
fn network_that_cannot_be_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--network", "0 0 120"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("loss of 120 is out of bounds; it may be 0 to 100 %"), "{told}");
}

fn demo(dir: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sabha"))
        .args(["demo", "--members", "3", "--out"])
        .arg(dir.join("out"))
        .args(more)
        .env_clear()
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Field names and types, as `report::model` documents them.
fn has_the_published_fields(report: &Value) {
    assert!(report["ok"].is_boolean());
    let lists = ["checks", "segments", "members"];
    for list in lists {
        assert!(!report[list].as_array().unwrap().is_empty(), "{list}");
    }
    let is_figure = |value: &Value| value.is_number() || value.is_string();
    for check in report["checks"].as_array().unwrap() {
        assert!(check["name"].is_string() && check["ok"].is_boolean(), "{check}");
        assert!(is_figure(&check["value"]) && is_figure(&check["bound"]), "{check}");
    }
    let conference = &report["conference"];
    for count in ["members", "talkers_max", "ticks"] {
        assert!(conference[count].as_u64().is_some_and(|count| count > 0), "{count}: {conference}");
    }
    for count in ["ticks_over_encode_bound", "ticks_over_decode_bound"] {
        assert!(conference[count].is_u64(), "{count}: {conference}");
    }
    for number in [
        "added_delay_ms_p50",
        "added_delay_ms_p99",
        "lookahead_ms",
        "encodes_per_tick_median",
        "decodes_per_tick_median",
        "node_cpu_ms_per_member_second",
    ] {
        let is_plausible = conference[number].as_f64().is_some_and(|number| number >= 0.0);
        assert!(is_plausible, "{number}: {conference}");
    }
    assert_eq!(conference["members"], 3);
    assert_eq!(report["members"].as_array().unwrap().len(), 3);
    for segment in report["segments"].as_array().unwrap() {
        assert!(segment["user"].is_string() && segment["clip"].is_string(), "{segment}");
        assert!(segment["alone"].is_boolean(), "{segment}");
        assert!(segment["start_ms"].as_u64() < segment["end_ms"].as_u64(), "{segment}");
        let users = report["members"].as_array().unwrap().iter();
        assert_eq!(users.filter(|member| member["user"] == segment["user"]).count(), 1);
    }
    for member in report["members"].as_array().unwrap() {
        assert!(member["user"].is_string() && member["wav"].is_string(), "{member}");
        for count in ["packets_in", "packets_due", "lost", "concealed"] {
            assert!(member[count].is_u64(), "{count}: {member}");
        }
        for number in ["jitter_ms", "buffer_ms_p50", "buffer_ms_p99"] {
            assert!(member[number].is_number(), "{number}: {member}");
        }
        let timeline = member["buffer_timeline_ms"].as_array().unwrap();
        assert!(timeline.iter().any(Value::is_number), "{member}");
        assert!(member["mos"].as_f64().is_some_and(|mos| (1.0..=4.5).contains(&mos)), "{member}");
        assert!(member.get("reference_wav").is_none_or(Value::is_string), "{member}");
    }
}

/// The page, and every recording that the report names: beside it, and with sound in it.
fn has_its_files(out: &Path, report: &Value) {
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("</html>"));
    let members = report["members"].as_array().unwrap();
    let talkers = members.iter().filter(|member| member.get("reference_wav").is_some()).count();
    assert!((1..3).contains(&talkers), "{talkers} of 3 talk, and somebody only listens");
    for member in members {
        let names = [member.get("wav"), member.get("reference_wav")];
        for name in names.into_iter().flatten() {
            let name = Path::new(name.as_str().unwrap());
            let is_beside = name.components().all(|part| matches!(part, Component::Normal(_)));
            assert!(is_beside, "{} leads away from the report", name.display());
            let wav = std::fs::read(out.join(name)).unwrap();
            assert!(wav.starts_with(b"RIFF"), "{}", name.display());
            assert!(wav.len() > WAV_HEADER_LEN + 48_000, "{} is empty", name.display());
            assert!(wav[WAV_HEADER_LEN..].iter().any(|byte| *byte != 0), "{}", name.display());
        }
    }
}

/// The longest header that we write, in bytes: RIFF, extended format, data.
const WAV_HEADER_LEN: usize = 68;
