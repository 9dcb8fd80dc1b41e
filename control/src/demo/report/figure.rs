//! A number or a few words: what checks measure and are bound by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number or a short text; in JSON simply the one or the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// A count.
    Count(u64),
    /// Any other number.
    Number(f64),
    /// A short text.
    Text(String),
}

/// For people: digits grouped by commas, two decimals at most, four below 1.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.pad(&grouped(&count.to_string())),
            Self::Number(number) => f.pad(&number_text(*number)),
            Self::Text(text) => f.pad(text),
        }
    }
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Figure {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<i32> for Figure {
    fn from(number: i32) -> Self {
        u64::try_from(number).map_or(Self::Number(number.into()), Self::Count)
    }
}

impl From<f64> for Figure {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<f32> for Figure {
    fn from(number: f32) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Writes a number for people: `1,234`, `12.5`, `0.0341`; `-` if it is not finite.
pub(super) fn number_text(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    let decimals = match number.abs() {
        0.0..1.0 => 4,
        1.0..100.0 => 2,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text {
        "-0" => "0".to_owned(),
        text => grouped(text),
    }
}

/// Puts a comma between groups of three digits before the decimal point.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut text = String::with_capacity(number.len() + whole / 3);
    for (i, character) in number.char_indices() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (-0.00001, "0"),
            (0.0341, "0.0341"),
            (0.9951, "0.9951"),
            (6.5, "6.5"),
            (18.237, "18.24"),
            (150.4, "150"),
            (1_234_567.0, "1,234,567"),
            (-1_234.0, "-1,234"),
            (-123.0, "-123"),
            (f64::NAN, "-"),
        ];
        for (number, text) in cases {
            assert_eq!(Figure::from(number).to_string(), text);
        }
        assert_eq!(Figure::from(7_500u64).to_string(), "7,500");
        assert_eq!(Figure::from(-3).to_string(), "-3");
    }

    #[test]
    fn figures_are_plain_json() {
        let figures = [Figure::from(3), Figure::from(2.5), Figure::from("six")];
        let json = serde_json::to_string(&figures).unwrap();
        assert_eq!(json, r#"[3,2.5,"six"]"#);
        assert_eq!(serde_json::from_str::<Vec<Figure>>(&json).unwrap(), figures);
    }
}
