//! What every back end does, on epoll.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(unsafe_code, reason = "UDP_SEGMENT has no safe interface in std")]

#[path = "behaviour/mod.rs"]
mod behaviour;
use behaviour::common;
use sabha_transport::DriverKind;

const KIND: DriverKind = DriverKind::Poll;
