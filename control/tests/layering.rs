//! Who may import whom: the house rules of ARCHITECTURE.md, read off cargo's own graph.
//!
//! Looks at normal and build dependencies, direct and indirect; what tests use does not count.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// What one of our packages may have below it.
struct Rule {
    package: &'static str,
    /// Our own packages, at any depth.
    ours: &'static [&'static str],
    /// Whether it is pure: no runtime, no network, no TLS.
    pure: bool,
}

/// A package that is not listed may not exist; one that is listed need not exist yet.
const RULES: &[Rule] = &[
    Rule { package: "sabha-media", ours: &[], pure: true },
    Rule { package: "sabha-mixer", ours: &["sabha-media"], pure: true },
    Rule { package: "sabha-bridge", ours: &["sabha-media"], pure: true },
    Rule { package: "sabha-transport", ours: &["sabha-media"], pure: false },
    Rule { package: "sabha-core", ours: &["sabha-media"], pure: false },
    Rule {
        package: "sabha-client",
        ours: &["sabha-core", "sabha-media", "sabha-transport"],
        pure: false,
    },
    Rule {
        package: "sabha-control",
        ours: &[
            "sabha-bridge",
            "sabha-client",
            "sabha-core",
            "sabha-media",
            "sabha-mixer",
            "sabha-transport",
        ],
        pure: false,
    },
    Rule {
        package: "sabha-loadgen",
        ours: &["sabha-client", "sabha-core", "sabha-media", "sabha-transport"],
        pure: false,
    },
    Rule {
        package: "sabha-benches",
        ours: &[
            "sabha-bridge",
            "sabha-client",
            "sabha-core",
            "sabha-media",
            "sabha-mixer",
            "sabha-transport",
        ],
        pure: false,
    },
];

/// What no pure package may have below it; a name stands for its family, `quinn` for `quinn-udp`.
const IMPURE: &[&str] =
    &["async-std", "glommio", "libp2p", "mio", "quinn", "rustls", "smol", "socket2", "tokio"];

#[test]
fn packages_import_only_what_the_house_rules_allow() {
    let mut broken = Vec::new();
    for package in members() {
        let Some(rule) = RULES.iter().find(|rule| rule.package == package) else {
            broken.push(format!("{package} has no rule in {}; give it one", file!()));
            continue;
        };
        broken.extend(rule.violations(&below(&package)));
    }
    assert!(broken.is_empty(), "the layering is broken:\n  {}\n", broken.join("\n  "));
}

#[test]
fn no_package_is_named_core() {
    // It would shadow the standard crate, and derive macros that say `::core` would not compile.
    let mut names = members();
    names.extend(members().iter().flat_map(|package| below(package)));
    assert!(!names.contains("core"), "a package is named `core`; call it `sabha-core`");
}

#[test]
fn every_breach_is_reported_with_the_way_to_find_it() {
    let names = ["sabha-media", "sabha-bridge", "tokio-util", "tokio", "libc"];
    let names = names.map(str::to_owned).into_iter().collect();
    let mixer = RULES.iter().find(|rule| rule.package == "sabha-mixer").unwrap();
    let broken = mixer.violations(&names);
    assert_eq!(broken.len(), 3, "{broken:?}");
    assert!(broken[0].starts_with("sabha-mixer must not depend on sabha-bridge"), "{}", broken[0]);
    assert!(broken[1].ends_with("cargo tree -e normal,build -p sabha-mixer -i tokio"));

    let control = RULES.iter().find(|rule| rule.package == "sabha-control").unwrap();
    assert!(control.violations(&names).is_empty(), "what is not pure may use tokio");
}

impl Rule {
    fn violations(&self, below: &BTreeSet<String>) -> Vec<String> {
        let breaches = below.iter().filter(|name| {
            let foreign = name.starts_with("sabha-") && !self.ours.contains(&name.as_str());
            foreign || self.pure && IMPURE.iter().any(|family| is_of(name, family))
        });
        let package = self.package;
        breaches
            .map(|name| {
                format!(
                    "{package} must not depend on {name}; see how it does: \
                     cargo tree -e normal,build -p {package} -i {name}"
                )
            })
            .collect()
    }
}

fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

/// The workspace's packages.
fn members() -> BTreeSet<String> {
    let tree = cargo_tree(&["--workspace", "--depth", "0"]);
    tree.lines().filter_map(name).collect()
}

/// Everything that a package is built with or from, at any depth, without itself.
fn below(package: &str) -> BTreeSet<String> {
    let tree = cargo_tree(&["--package", package]);
    tree.lines().filter_map(name).filter(|name| name != package).collect()
}

/// The first word of a line such as `libc v0.2.177` or `sabha-core v0.1.0 (/sabha/core) (*)`.
fn name(line: &str) -> Option<String> {
    line.split_whitespace().next().map(str::to_owned)
}

fn cargo_tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree {arguments:?} failed: {error}");
    String::from_utf8(output.stdout).unwrap()
}
