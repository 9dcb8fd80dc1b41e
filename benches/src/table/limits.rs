//! The file of limits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What `limits.toml` holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Instructions by path.
    pub instructions: BTreeMap<String, InstructionLimit>,
    /// Ratios of criterion's times, by what they say.
    pub ratios: BTreeMap<String, RatioLimit>,
}

/// How many instructions one run may take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionLimit {
    /// At most so many.
    pub limit: f64,
    /// A path whose count is taken off first.
    #[serde(default)]
    pub minus: Option<String>,
    /// What the difference is divided by.
    #[serde(default = "one")]
    pub divisor: f64,
    /// What the row is called, if not by its path.
    #[serde(default)]
    pub called: Option<String>,
}

/// How much longer one bench may take than another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatioLimit {
    /// The bench whose time is divided.
    pub of: String,
    /// The bench by whose time it is divided.
    pub over: String,
    /// At most so many times.
    pub limit: f64,
}

impl Limits {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with which file, as a message for people.
    pub fn read(file: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(|error| named(&error))?;
        toml::from_str(&text).map_err(|error| named(&error))
    }
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_limits_is_whole() {
        let limits = Limits::read(Path::new(crate::LIMITS)).unwrap();
        assert!(limits.instructions.len() > 5 && limits.ratios.len() > 5);
        let mut of_paths = limits.instructions.values();
        assert!(of_paths.all(|limit| limit.limit > 0.0 && limit.divisor >= 1.0));
    }

    #[test]
    fn broken_file_is_named() {
        let missing = Limits::read(Path::new("no/such.toml")).unwrap_err();
        assert!(missing.contains("no/such.toml"), "{missing}");
        let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert!(Limits::read(manifest).unwrap_err().contains("Cargo.toml"));
    }
}
