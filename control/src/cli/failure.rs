//! Why the program ends without having done its work.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use crate::config::ConfigErrors;

/// Why the program ends without having done its work: an exit code and lines for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// Makes a failure of the work itself; each line of the text becomes a line of the report.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { code: FAILED, lines: text.lines().map(str::to_owned).collect() }
    }

    /// Makes a failure that only other arguments or another configuration can mend.
    #[must_use]
    pub fn usage(text: &str) -> Self {
        Self { code: USAGE, ..Self::new(text) }
    }

    /// Returns what is reported.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Prints the report to stderr and returns the exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let text: String = self.lines.iter().map(|line| format!("sabha: {line}\n")).collect();
        // Nobody can be told that stderr is gone.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}

/// Takes an error with its causes, leaving out those that its own text already tells.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let told = cause.to_string();
            if !text.contains(&told) {
                text.push_str(&format!("\n  because: {told}"));
            }
            source = cause.source();
        }
        match (&error as &dyn Error).is::<ConfigErrors>() {
            true => Self::usage(&text),
            false => Self::new(&text),
        }
    }
}

/// Exit code of failed work.
const FAILED: u8 = 1;
/// Exit code of wrong arguments or configuration; clap's own, too.
const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot open the door")]
    struct Outer(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("cannot open the door: {0}")]
    struct Telling(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("the key is lost")]
    struct Inner;

    #[test]
    fn causes_are_told_once() {
        assert_eq!(
            Failure::from(Outer(Inner)).lines(),
            ["cannot open the door", "  because: the key is lost"]
        );
        assert_eq!(
            Failure::from(Telling(Inner)).lines(),
            ["cannot open the door: the key is lost"]
        );
    }
}
