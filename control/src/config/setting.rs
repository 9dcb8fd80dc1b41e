//! The types that values can have: how each is read, checked and printed.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use sabha_core::UserId;

use crate::config::input::Input;

/// Why a value cannot be taken.
pub(crate) struct Wrong {
    /// The rest of a sentence about the key.
    pub wrong: String,
    /// What to do.
    pub remedy: String,
}

/// A type that a value can have.
pub(crate) trait Setting: Sized {
    /// Reads a value.
    fn read(input: &Input) -> Result<Self, Wrong>;

    /// Returns the value as TOML.
    fn to_toml(&self) -> String;
}

impl Wrong {
    pub(crate) fn new(wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), remedy: remedy.into() }
    }

    /// Returns "is `input`, which is not `wanted`".
    pub(crate) fn not(input: &Input, wanted: &str, remedy: impl Into<String>) -> Self {
        Self::new(format!("is {input}, which is not {wanted}"), remedy)
    }
}

impl Setting for SocketAddr {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let remedy = "write IP:PORT, such as \"127.0.0.1:4600\" or \"[::]:4600\"";
        let wrong = || Wrong::not(input, "an IP address with a port", remedy);
        input.text().and_then(|text| text.trim().parse().ok()).ok_or_else(wrong)
    }

    fn to_toml(&self) -> String {
        quote(&self.to_string())
    }
}

impl Setting for IpAddr {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let remedy = "write it without port or brackets, such as \"192.0.2.7\" or \"2001:db8::7\"";
        let wrong = || Wrong::not(input, "an IP address", remedy);
        input.text().and_then(|text| text.trim().parse().ok()).ok_or_else(wrong)
    }

    fn to_toml(&self) -> String {
        quote(&self.to_string())
    }
}

impl Setting for PathBuf {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let wrong = || Wrong::not(input, "a path", "write the path as text in quotes");
        let text = input.text().ok_or_else(wrong)?;
        if text.is_empty() {
            return Err(Wrong::new("is empty", "write a path, or leave the key out"));
        }
        if text == "~" || text.starts_with("~/") {
            return Err(Wrong::new(
                format!("is {input}, but only shells know what ~ is"),
                "write the whole path",
            ));
        }
        Ok(text.into())
    }

    fn to_toml(&self) -> String {
        quote(&self.to_string_lossy())
    }
}

impl Setting for bool {
    fn read(input: &Input) -> Result<Self, Wrong> {
        match input {
            Input::Boolean(value) => Ok(*value),
            Input::Untyped(text) if text == "true" => Ok(true),
            Input::Untyped(text) if text == "false" => Ok(false),
            _ => Err(Wrong::not(input, "true or false", "write true or false, without quotes")),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for u64 {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let number = match input {
            Input::Integer(number) => Self::try_from(*number).ok(),
            Input::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        };
        let wrong = || Wrong::not(input, "a whole number", "write digits only, without quotes");
        number.ok_or_else(wrong)
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for UserId {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let remedy = "write it as \"name@example.org\"";
        let text = input.text().ok_or_else(|| Wrong::not(input, "an email address", remedy))?;
        text.parse().map_err(|_| Wrong::not(input, "an email address", remedy))
    }

    fn to_toml(&self) -> String {
        quote(self.as_str())
    }
}

/// A list; in a variable or flag its items are parted by commas.
impl<T: Setting> Setting for Vec<T> {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let items = match input {
            Input::List(items) => items.clone(),
            Input::Untyped(text) => {
                text.split(',').map(|item| Input::Untyped(item.trim().to_owned())).collect()
            }
            _ => {
                let remedy = "put its items between [ and ], parted by commas";
                return Err(Wrong::not(input, "a list", remedy));
            }
        };
        if items.len() > ITEMS_MAX {
            let wrong = format!("has {} items, but at most {ITEMS_MAX} are read", items.len());
            return Err(Wrong::new(wrong, "shorten the list"));
        }
        let (read, wrong): (Vec<_>, Vec<_>) = items.iter().map(T::read).partition(Result::is_ok);
        match wrong.into_iter().find_map(Result::err) {
            Some(Wrong { wrong, remedy }) => {
                Err(Wrong::new(format!("has an item that {wrong}"), remedy))
            }
            None => Ok(read.into_iter().flatten().collect()),
        }
    }

    fn to_toml(&self) -> String {
        format!("[{}]", self.iter().map(T::to_toml).collect::<Vec<_>>().join(", "))
    }
}

/// Returns text as a TOML string.
pub(crate) fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Longest list: as many users as may be named one by one. Chosen because more belong in a policy.
const ITEMS_MAX: usize = 10_000;
