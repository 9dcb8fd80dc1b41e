//! Runs a command where io_uring is refused, as on most container hosts.
//!
//!     cargo run -p sabha-transport --example without_io_uring -- sabha demo
#![allow(unsafe_code, reason = "the filter is a plain system call, see the module")]

use std::os::unix::process::CommandExt;
use std::process::Command;

#[path = "../tests/support/seccomp.rs"]
mod seccomp;

fn main() -> std::io::Result<()> {
    let mut command = std::env::args_os().skip(1);
    let program = command
        .next()
        .ok_or_else(|| std::io::Error::other("name a command: without_io_uring CMD [ARGS...]"))?;
    seccomp::refuse_io_uring(libc::EPERM)?;
    Err(Command::new(program).args(command).exec())
}
