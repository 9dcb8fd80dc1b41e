//! The command `floor` measures with a sending process of its own.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::process::{Command, Output};

fn floor(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_sabha-loadgen");
    Command::new(program).arg("floor").args(arguments).output().unwrap()
}

#[test]
fn every_socket_is_sent_to_at_the_cadence() {
    let output = floor(&["--sockets", "30", "--size", "200", "--seconds", "0.3", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let floor: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (packets, received) = (floor["packets"].as_u64().unwrap(), floor["received"].as_u64());
    assert!(packets > 0 && packets.is_multiple_of(30), "whole rounds: {packets}");
    assert!(packets <= 30 * 17, "no more than one round every 20 ms: {packets}");
    assert!(received.unwrap() >= packets, "the warm-up is received too: {received:?}");
    assert_eq!((floor["bytes_mean"].as_f64(), floor["sockets"].as_u64()), (Some(200.0), Some(30)));
    let us = floor["cpu_us_per_packet"].as_f64().unwrap();
    assert!(us > 0.1 && us < 1_000.0, "{us} µs");
}

#[test]
fn parts_are_sent_to_in_turn() {
    let output = floor(&[
        "--sockets",
        "30",
        "--cohorts",
        "3",
        "--interval-ms",
        "60",
        "--seconds",
        "0.3",
        "--json",
    ]);
    let floor: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packets = floor["packets"].as_u64().unwrap();
    assert!(packets > 0 && packets.is_multiple_of(10) && packets <= 10 * 17, "{packets}");
}

#[test]
fn gathered_packets_count_each_and_keep_the_cadence() {
    let output =
        floor(&["--sockets", "30", "--size", "110", "--seconds", "0.3", "--gather", "3", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let floor: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (packets, received) = (floor["packets"].as_u64().unwrap(), floor["received"].as_u64());
    assert!(packets > 0 && packets.is_multiple_of(90), "whole rounds: {packets}");
    assert!(packets <= 90 * 17, "no more than one round every 20 ms: {packets}");
    assert!(received.unwrap() >= packets, "each is received by itself: {received:?}");
    assert!(floor["interval_ms"].as_f64().unwrap() > 15.0, "{floor}");
    assert_eq!((floor["bytes_mean"].as_f64(), floor["gather"].as_f64()), (Some(110.0), Some(3.0)));
}

#[test]
fn impossible_plans_are_refused() {
    for arguments in
        [["--sockets", "0"], ["--size", "0"], ["--interval-ms", "0"], ["--gather", "0"]]
    {
        let output = floor(&arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn program_that_says_something_else_is_named() {
    let output = floor(&["--sockets", "3", "--seconds", "0.1", "--with", "/bin/echo"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("it said"), "{message}");
}
