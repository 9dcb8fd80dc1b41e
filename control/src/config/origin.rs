//! Where a value was found.

use std::{fmt, path::PathBuf};

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: nobody set it.
    Default,
    /// In a file as a whole.
    File(PathBuf),
    /// On a line of a file.
    Line(PathBuf, usize),
    /// In an environment variable.
    Variable(String),
    /// In a flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}
