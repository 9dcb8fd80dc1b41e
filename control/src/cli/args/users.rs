//! Who may join, from flags and from a file.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sabha_core::UserId;
use thiserror::Error;

/// The file of users cannot be used.
#[derive(Debug, Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("cannot read the users in {path}: {source}; check the path that --users names")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Lines are no email addresses.
    #[error("{0}")]
    Lines(WrongLines),
    /// It names nobody.
    #[error("{0} names no user; write one email address a line")]
    Empty(PathBuf),
}

/// Lines that are no email addresses; never empty.
#[derive(Debug)]
pub struct WrongLines(Vec<String>);

impl fmt::Display for WrongLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Returns the users named one by one and those in a file.
///
/// # Errors
/// `UsersError` if the file cannot be read, or names every line that is no email address.
pub fn permitted(named: &[UserId], file: Option<&Path>) -> Result<BTreeSet<UserId>, UsersError> {
    let mut users: BTreeSet<_> = named.iter().cloned().collect();
    if let Some(path) = file {
        let text = read(path).map_err(|source| UsersError::Read { path: path.into(), source })?;
        users.extend(parse(path, &text)?);
    }
    Ok(users)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_LEN_MAX} bytes")));
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<BTreeSet<UserId>, UsersError> {
    let (mut users, mut wrong) = (BTreeSet::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match UserId::new(entry) {
            Ok(user) => {
                users.insert(user);
            }
            Err(error) => wrong.push(format!("{} line {}: {error}", path.display(), i + 1)),
        }
    }
    if !wrong.is_empty() {
        wrong.truncate(WRONG_MAX);
        return Err(UsersError::Lines(WrongLines(wrong)));
    }
    if users.is_empty() { Err(UsersError::Empty(path.into())) } else { Ok(users) }
}

/// Longest file in bytes: 10,000 of the longest addresses, and comments.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Most wrong lines that are reported; further ones are seen at the next try.
const WRONG_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(users: &BTreeSet<UserId>) -> Vec<&str> {
        users.iter().map(UserId::as_str).collect()
    }

    #[test]
    fn comments_blanks_and_doubles_are_dropped() {
        let text = "# team\nAnn@b.org\n\n  ben@b.org # lead\nann@b.org\n";
        let users = parse(Path::new("team.txt"), text).unwrap();
        assert_eq!(names(&users), ["ann@b.org", "ben@b.org"]);
    }

    #[test]
    fn every_wrong_line_is_named() {
        let error = parse(Path::new("team.txt"), "ann\nben@b.org\n@\n").unwrap_err().to_string();
        assert!(error.contains("team.txt line 1: ") && error.contains("team.txt line 3: "));
        assert!(!error.contains("line 2"), "{error}");
    }

    #[test]
    fn file_without_users_is_refused() {
        let error = parse(Path::new("team.txt"), "# nobody\n").unwrap_err();
        assert!(matches!(error, UsersError::Empty(_)));
    }
}
