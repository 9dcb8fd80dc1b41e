//! File, variables and flags laid over one another.

use std::{collections::BTreeMap, ffi::OsStr};

use crate::config::{
    Origin, Problem, Sources,
    file::{self, FILE_VARIABLE},
    input::Input,
};

/// For each key, the value that is in effect and where it was found.
#[derive(Default)]
pub(crate) struct Layers(pub(crate) BTreeMap<String, (Input, Origin)>);

impl Layers {
    /// Collects all layers; later ones replace earlier ones.
    pub(crate) fn collect(sources: &Sources, problems: &mut Vec<Problem>) -> Self {
        let mut layers = Self::default();
        for key in file::read(sources, problems) {
            layers.0.insert(key.key, (key.input, key.origin));
        }
        let mut variables: Vec<_> = sources.variables.iter().collect();
        variables.sort();
        for (name, value) in variables {
            layers.add_variable(name, value);
        }
        for flag in &sources.flags {
            let input = Input::Untyped(flag.value.clone());
            layers.0.insert(flag.key.to_owned(), (input, Origin::Flag(flag.name)));
        }
        layers
    }

    /// An empty variable counts as not set: compose files and units write unset ones like this.
    fn add_variable(&mut self, name: &OsStr, value: &OsStr) {
        let Some(name) = name.to_str() else { return };
        let Some(rest) = name.strip_prefix(PREFIX) else { return };
        if name == FILE_VARIABLE || value.is_empty() || is_of_kubernetes(name) {
            return;
        }
        let key = rest.to_ascii_lowercase().replacen('_', ".", 1);
        let input = match value.to_str() {
            Some(text) => Input::Untyped(text.to_owned()),
            None => Input::Other("text that is not UTF-8"),
        };
        self.0.insert(key, (input, Origin::Variable(name.to_owned())));
    }
}

/// Returns the variable that overrides a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "_"))
}

/// Kubernetes gives every pod such variables for each service in its namespace, such as
/// `SABHA_NODE_SERVICE_HOST` for one that is called `sabha-node`.
fn is_of_kubernetes(name: &str) -> bool {
    name.ends_with("_PORT") || name.contains("_PORT_") || name.contains("_SERVICE_")
}

const PREFIX: &str = "SABHA_";
