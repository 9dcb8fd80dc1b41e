//! `[log]`: what is logged, and how.

use tracing_subscriber::EnvFilter;

use crate::config::{
    input::Input,
    section::Section,
    setting::{Setting, Wrong, quote},
};

/// What is logged, and how; always to stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Which events.
    pub level: LogFilter,
    /// In which form.
    pub format: LogFormat,
}

/// A filter of `tracing`, checked: `info`, or `warn,sabha_core=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            level: section.value("level", LogFilter("info".to_owned())),
            format: section.value("format", LogFormat::Text),
        }
    }
}

impl LogFilter {
    /// Returns the filter for a subscriber.
    #[must_use]
    pub fn to_filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.0).expect("was checked when it was read")
    }
}

impl Setting for LogFilter {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let remedy =
            "write error, warn, info, debug, trace or off, or such as \"warn,sabha_core=debug\"";
        let wrong = || Wrong::not(input, "a filter for logs", remedy);
        let text = input.text().ok_or_else(wrong)?;
        // A word that is no level would be taken for the name of a module, and a misspelt level
        // would silence everything else.
        let is_plain = |part: &str| part.contains('=') || LEVELS.contains(&part.trim());
        let is_filter = text.split(',').all(is_plain) && EnvFilter::try_new(text).is_ok();
        if is_filter { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }

    fn to_toml(&self) -> String {
        quote(&self.0)
    }
}

impl Setting for LogFormat {
    fn read(input: &Input) -> Result<Self, Wrong> {
        match input.text() {
            Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            _ => Err(Wrong::not(input, "a form of logs", "write \"text\" or \"json\"")),
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Text => quote("text"),
            Self::Json => quote("json"),
        }
    }
}

/// Words that stand for a level.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
