//! `[identity]`: where this device's identity is.

use std::path::PathBuf;

use crate::config::{Sources, section::Section};

/// Where this device's identity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Folder of `device.key`, `device.pem` and `root.pem`.
    pub dir: PathBuf,
}

impl IdentityConfig {
    pub(crate) fn read(section: &mut Section<'_>, sources: &Sources) -> Self {
        Self { dir: section.value("dir", sources.data_home().join("sabha")) }
    }
}
