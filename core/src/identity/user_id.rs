//! A person's name: a checked email address.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A user: an email address in lower case.
///
/// Only plain addresses are taken: letters, digits and `._+-=` before the `@`, a DNS name after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// Text that should have been an email address is not one that Sabha takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserIdError {
    /// Longer than a mail server must accept.
    #[error(
        "an email address has at most {LEN_MAX} characters, this one has {0}; use a shorter one"
    )]
    TooLong(usize),
    /// No `@`, or nothing on one side of it, or several.
    #[error("{0:?} is not an email address; write it as name@example.org")]
    Shape(String),
    /// A character that is not allowed.
    #[error("{0:?} in the email address {1:?} is not allowed; use letters, digits and . _ + - =")]
    Character(char, String),
}

impl UserId {
    /// Checks an address and converts it to lower case.
    ///
    /// # Errors
    /// `UserIdError` says which rule the text broke.
    pub fn new(text: &str) -> Result<Self, UserIdError> {
        let text = text.trim();
        if text.len() > LEN_MAX {
            return Err(UserIdError::TooLong(text.len()));
        }
        let shape = || UserIdError::Shape(text.to_owned());
        let (local, domain) = text.split_once('@').ok_or_else(shape)?;
        let is_plain =
            |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
        let has_lengths = (1..=LOCAL_LEN_MAX).contains(&local.len()) && !domain.is_empty();
        if !has_lengths || !is_plain(local) || !is_plain(domain) || domain.contains('@') {
            return Err(shape());
        }
        check(local, "._+-=", text)?;
        check(domain, ".-", text)?;
        let is_label =
            |label: &str| label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
        if !domain.split('.').all(is_label) {
            return Err(shape());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Returns the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = UserIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for UserId {
    type Error = UserIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<UserId> for String {
    fn from(user: UserId) -> Self {
        user.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(part: &str, others: &str, whole: &str) -> Result<(), UserIdError> {
    match part.chars().find(|c| !c.is_ascii_alphanumeric() && !others.contains(*c)) {
        Some(wrong) => Err(UserIdError::Character(wrong, whole.to_owned())),
        None => Ok(()),
    }
}

/// Longest address. Source: RFC 5321 section 4.5.3.1.3 (256 with the angle brackets).
const LEN_MAX: usize = 254;
/// Longest part before the `@`. Source: RFC 5321 section 4.5.3.1.1.
const LOCAL_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_lower_cased() {
        assert_eq!(
            UserId::new(" Alice.B+x@Example.ORG ").unwrap().as_str(),
            "alice.b+x@example.org"
        );
    }

    #[test]
    fn other_text_is_refused() {
        let long = format!("a@{}.org", "b".repeat(300));
        let wrong = [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b@c",
            "a\n@b.org",
            "a@b..org",
            ".a@b.org",
            "a@-b.org",
            "ä@b.org",
            "a/b@c.org",
            "<a@b.org>",
            &long,
        ];
        for text in wrong {
            assert!(UserId::new(text).is_err(), "{text:?}");
        }
    }
}
