//! The configuration in effect, as a file that would bring it about.

use crate::config::Origin;

/// One key in effect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub section: &'static str,
    pub key: &'static str,
    /// In TOML; `None` if the key may be absent and is.
    pub value: Option<String>,
    pub origin: Origin,
}

pub(crate) fn to_toml(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut section = "";
    for entry in entries {
        if entry.section != section {
            let line_break = if section.is_empty() { "" } else { "\n" };
            section = entry.section;
            text.push_str(&format!("{line_break}[{section}]\n"));
        }
        let line = match &entry.value {
            Some(value) => format!("{} = {value}", entry.key),
            None => format!("# {} is not set", entry.key),
        };
        text.push_str(&format!("{line:<WIDTH$}  # {}\n", entry.origin));
    }
    text
}

/// Column of the comments; chosen so that most values end before it.
const WIDTH: usize = 44;
