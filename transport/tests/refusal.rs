//! Where a seccomp filter refuses io_uring, media runs on `poll` all the same.
//!
//! The filter cannot be taken off again, so each case runs in a child: this binary once more, asked
//! for one test, which without a filter and a choice of driver is an echo by `auto`.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(unsafe_code, reason = "a child is put under a seccomp filter before it starts")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use sabha_transport::DriverKind;

#[allow(dead_code, reason = "the echo needs a part of it")]
#[path = "behaviour/common.rs"]
mod common;
#[path = "support/seccomp.rs"]
mod seccomp;

use common::{Probe, bind, client};
use sabha_transport::{Clock, DriverConfig, start_driver};

const KIND: DriverKind = DriverKind::Auto;

/// Runs the echo's test in a child that may be put under a filter; returns what it printed.
fn echo_in_child(kind: &str, refusal: Option<libc::c_int>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "echo_by_the_driver_asked_for", "--nocapture"]);
    child.env(KIND_VARIABLE, kind);
    if let Some(errno) = refusal {
        // SAFETY: the filter is set by system calls alone, which is allowed after fork.
        unsafe { child.pre_exec(move || seccomp::refuse_io_uring(errno)) };
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{kind}, {refusal:?}: {text}\n{output:?}");
    text
}

#[test]
fn echo_by_the_driver_asked_for() {
    let kind = std::env::var(KIND_VARIABLE).map_or(KIND, |kind| kind.parse().unwrap());
    let (driver, name) =
        start_driver::<Probe>(kind, DriverConfig::default(), Clock::process()).unwrap();
    let (socket, addr) = bind("127.0.0.1:0");
    driver.add(socket, Probe::echo()).unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(b"hello", addr).unwrap();
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 5);
    println!("echoed by {name}");
}

#[test]
fn media_runs_on_poll_where_io_uring_is_refused() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        for kind in ["auto", "glommio", "poll"] {
            let text = echo_in_child(kind, Some(errno));
            assert!(text.contains("echoed by poll"), "{kind}, errno {errno}: {text}");
        }
    }
}

#[cfg(feature = "glommio")]
#[test]
fn filter_is_what_keeps_glommio_away() {
    use sabha_transport::{Driver, GlommioDriver};

    if let Err(refusal) = GlommioDriver::<Probe>::start(DriverConfig::default(), Clock::process()) {
        println!("not tested, glommio is refused here anyway: {refusal}");
        return;
    }
    assert!(echo_in_child("glommio", None).contains("echoed by glommio"));
}

const KIND_VARIABLE: &str = "SABHA_TEST_DRIVER";
