//! `sabha ca bulk` and `--test-network`, with the real program.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
};

use sabha_core::{
    Clock, Identity,
    ca::{Authority, AuthoritySettings},
    identity::bundle,
};
use tempfile::TempDir;

/// A folder in which the program is run.
struct Case(TempDir);

impl Case {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with_ordinary_ca() -> Self {
        let case = Self::new();
        let dir = case.0.path().join("ca");
        let now = Clock::system().now();
        Authority::open_or_create(now, &dir, AuthoritySettings::default()).unwrap();
        case
    }

    fn run(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sabha"))
            .args(args.split(' '))
            .env_clear()
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn does(&self, args: &str) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Checks that the program ends with this code and says this, printing nothing.
    fn refuses(&self, args: &str, code: i32, remedy: &str) {
        let output = self.run(args);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(remedy), "{remedy:?} is not in {told:?}");
        assert_eq!(text(&output.stdout), "");
    }

    fn load(&self, name: &str) -> Vec<Identity> {
        bundle::load(Clock::system().now(), &self.0.path().join(name)).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn devices_of_a_test_network_are_enrolled_into_one_private_file() {
    let case = Case::new();
    let printed = case.does("ca bulk --test-network --dir ca --count 12 --out members");
    let members = case.load("members");
    let fingerprint = members[0].root().fingerprint();
    assert_eq!(
        printed,
        format!(
            "devices 12\nusers member000001@example.org to member000012@example.org\n\
             fingerprint {fingerprint}\n"
        )
    );
    assert_eq!(members.len(), 12);
    assert_eq!(members[11].user().as_str(), "member000012@example.org");
    assert!(members.iter().all(|member| member.certificate().mixer.is_none()));
    let mode = fs::metadata(case.0.path().join("members")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nodes_get_the_mark_and_the_ca_is_known_for_what_it_is_later() {
    let case = Case::new();
    case.does("ca bulk --test-network --dir ca --count 1 --out members");
    // The root says what the CA is for, so the flag is no longer needed.
    case.does("ca --dir ca bulk --count 2 --prefix node --mixer --out nodes");
    let nodes = case.load("nodes");
    assert!(nodes.iter().all(|node| node.certificate().mixer.is_some()));
    assert_eq!(nodes[1].user().as_str(), "node000002@example.org");
    assert_eq!(nodes[0].root().fingerprint(), case.load("members")[0].root().fingerprint());
}

#[test]
fn ordinary_ca_enrols_nobody_in_bulk() {
    let case = Case::with_ordinary_ca();
    case.refuses("ca bulk --dir ca --count 1 --out members", 1, "not a test network's");
    let with_flag = "ca bulk --test-network --dir ca --count 1 --out members";
    case.refuses(with_flag, 1, "cannot become one");
    assert!(!case.0.path().join("members").exists());
}

#[test]
fn no_ca_is_made_by_mistake() {
    let case = Case::new();
    case.refuses("ca bulk --dir ca --count 1 --out members", 1, "there is no CA in ca");
    assert_eq!(fs::read_dir(case.0.path()).unwrap().count(), 0);
}

#[test]
fn serving_as_another_kind_of_ca_is_refused() {
    let case = Case::with_ordinary_ca();
    let listen = "--listen 127.0.0.1:0";
    case.refuses(&format!("ca --test-network --dir ca {listen}"), 1, "cannot become one");
    let case = Case::new();
    case.does("ca bulk --test-network --dir ca --count 1 --out members");
    case.refuses(&format!("ca --dir ca {listen}"), 1, "start it with --test-network");
}

#[test]
fn arguments_are_checked_before_anybody_is_enrolled() {
    let case = Case::new();
    case.does("ca bulk --test-network --dir ca --count 1 --prefix first --out first");
    let bulk = |more: &str| format!("ca bulk --dir ca {more}");
    case.refuses(&bulk("--count 0 --out members"), 2, "1..=20000");
    case.refuses(&bulk("--count 20001 --out members"), 2, "1..=20000");
    case.refuses(&bulk("--count 1 --prefix a/b --out members"), 2, "'/'");
    case.refuses(&bulk("--count 1 --out no/members"), 2, "folder that exists");
    case.refuses(&bulk("--count 1 --out ca"), 2, "name a file");
    assert!(!case.0.path().join("members").exists());
}
