//! Results for people and scripts, on stdout.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints one line and flushes it, so that a script that waits for it gets it.
///
/// # Errors
/// The system's; a reader that has gone away is none.
pub fn line(line: impl Display) -> io::Result<()> {
    print(&format!("{line}\n"))
}

/// Prints text as it is and flushes it.
///
/// # Errors
/// The system's; a reader that has gone away is none.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
