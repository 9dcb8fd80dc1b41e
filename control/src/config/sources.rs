//! Where a configuration comes from, gathered so that tests can give their own.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A flag that overrides a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The key, such as `node.listen`.
    pub key: &'static str,
    /// The flag, such as `--listen`.
    pub name: &'static str,
    /// The text after it.
    pub value: String,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// The environment; those without the prefix `SABHA_` serve for default folders only.
    pub variables: Vec<(OsString, OsString)>,
    /// Flags that override keys.
    pub flags: Vec<Flag>,
    /// Where `sabha.toml` is looked for.
    pub working_dir: PathBuf,
}

impl Sources {
    /// Returns the sources of this process, with what the command line said.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self { file, variables: env::vars_os().collect(), flags, working_dir: PathBuf::new() }
    }

    /// Returns the folder under which Sabha keeps what is its own, if nobody says otherwise.
    ///
    /// Source: XDG Base Directory Specification; services without a home get the folder that
    /// systemd's `StateDirectory=` would give them.
    pub(crate) fn data_home(&self) -> PathBuf {
        let absolute = |name: &str| {
            let path = self.variable(name).map(PathBuf::from)?;
            Some(path).filter(|path| path.is_absolute())
        };
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .unwrap_or_else(|| Path::new("/var/lib").to_owned())
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&OsString> {
        let found = self.variables.iter().find(|(known, _)| known == name)?;
        Some(&found.1).filter(|value| !value.is_empty())
    }
}
