//! The command line of the real program: help, exit codes, and how mistakes are told.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    process::{Command, Output},
};

const COMMANDS: [&str; 8] = ["ca", "enroll", "node", "host", "join", "devices", "demo", "config"];

fn sabha(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    sabha_in(dir.path(), args, variables)
}

fn sabha_in(dir: &std::path::Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sabha"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(dir)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_of_each_command_has_an_example_files_and_defaults() {
    for command in COMMANDS {
        let output = sabha(&[command, "--help"], &[]);
        let help = stdout(&output);
        assert_eq!(output.status.code(), Some(0));
        assert!(help.contains("Examples:\n  sabha"), "{command}: {help}");
        assert!(help.contains("Files"), "{command}: {help}");
        assert!(help.contains("default"), "{command}: {help}");
        let first = help.split("\n\nUsage:").next().unwrap();
        assert!(first.lines().count() >= 3, "{command} does not say what it does: {first}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
    }
}

#[test]
fn short_help_has_one_line_for_each_command() {
    let help = stdout(&sabha(&["-h"], &[]));
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
}

#[test]
fn unknown_flag_ends_with_code_2() {
    for command in COMMANDS {
        let output = sabha(&[command, "--nonsense"], &[]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(stderr(&output).contains("--nonsense"), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    assert_eq!(sabha(&["nonsense"], &[]).status.code(), Some(2));
    assert_eq!(sabha(&[], &[]).status.code(), Some(2));
}

#[test]
fn arguments_are_checked_before_anything_is_done() {
    let fingerprint = "ab".repeat(32);
    let enroll = |ca: &str, fingerprint: &str, user: &str| {
        let args = ["enroll", "--ca", ca, "--fingerprint", fingerprint, "--user", user];
        sabha(&args, &[])
    };
    for (output, remedy) in [
        (enroll("ca", &fingerprint, "a@b.org"), "write HOST:PORT"),
        (enroll("ca:1", "abcd", "a@b.org"), "64 hexadecimal digits"),
        (enroll("ca:1", &fingerprint, "ann"), "name@example.org"),
        (sabha(&["join", "sabha:zz", "--in", "a", "--out", "b"], &[]), "copy it again"),
        (sabha(&["host", "--node", "x@y:1", "--user", "a@b.org"], &[]), "64 hexadecimal digits"),
    ] {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(remedy), "{}", stderr(&output));
    }
}

#[test]
fn mistakes_of_configuration_are_plain_lines_with_code_2() {
    let variables = [("SABHA_NODE_SHARDS", "x"), ("SABHA_LOG_LEVLE", "info")];
    for command in [&["config", "--check"][..], &["config"], &["ca"]] {
        let output = sabha(command, &variables);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            stderr(&output),
            "sabha: SABHA_NODE_SHARDS: node.shards is \"x\", which is not a whole number; write \
             digits only, without quotes\n\
             sabha: SABHA_LOG_LEVLE: log.levle is not a known key; did you mean SABHA_LOG_LEVEL?\n"
        );
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn mistake_in_a_flag_is_told_together_with_others() {
    let args = ["ca", "--listen", "nowhere"];
    let output = sabha(&args, &[("SABHA_CA_OTP_MINUTES", "0")]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("sabha: --listen: ca.listen is \"nowhere\""), "{told}");
    assert!(told.contains("sabha: SABHA_CA_OTP_MINUTES: ca.otp_minutes is 0"), "{told}");
}

#[test]
fn configuration_is_printed_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sabha.toml"), "[node]\nshards = 7\n").unwrap();
    let output = sabha_in(dir.path(), &["config"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("shards = 7"), "{}", stdout(&output));
    assert!(stdout(&output).contains("# sabha.toml line 2"), "{}", stdout(&output));
    let checked = sabha_in(dir.path(), &["config", "--check"], &[]);
    assert_eq!((checked.status.code(), stdout(&checked), stderr(&checked)), {
        (Some(0), String::new(), String::new())
    });
}

#[test]
fn failure_is_a_plain_line_with_code_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let output = sabha_in(dir.path(), &["ca", "--dir", "file/ca"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.starts_with("sabha: cannot create file/ca: "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[cfg(not(feature = "audio-devices"))]
#[test]
fn program_without_sound_devices_says_how_to_build_one() {
    let output = sabha(&["devices"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--features audio-devices"), "{}", stderr(&output));
}

#[cfg(feature = "audio-devices")]
#[test]
fn devices_are_listed_by_the_names_to_choose_them_by() {
    let output = sabha(&["devices"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("both        null  ("), "{}", stdout(&output));
}
