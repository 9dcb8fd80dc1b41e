//! A value as it was found, before it is understood.

use std::fmt;

use toml::de::DeValue;

/// A value as it was found, before it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The text of a variable or flag, whose type is not known.
    Untyped(String),
    /// A TOML string.
    String(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Input>),
    /// Anything that no key takes, by its name.
    Other(&'static str),
}

impl Input {
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Self::Integer(number),
                    Err(_) => Self::Other("an integer of more than 64 bits"),
                }
            }
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Returns the text of a string or of a variable or flag.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Untyped(text) | Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untyped(text) | Self::String(text) => {
                let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                let rest = if shown.len() < text.len() { " (and more)" } else { "" };
                write!(f, "{shown:?}{rest}")
            }
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// How much of a wrong text a message repeats; chosen to fit a line.
const SHOWN_CHARS_MAX: usize = 60;
