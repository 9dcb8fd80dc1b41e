//! An identity on disk, and what is wrong with one.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use common::{NOW, TestCa, later};
use sabha_core::{Identity, identity::IdentityError};

fn refusal(dir: &Path) -> IdentityError {
    Identity::load(NOW, dir).err().unwrap()
}

#[test]
fn identity_round_trips_with_a_private_key_file() {
    let ca = TestCa::new();
    let saved = ca.mixer("alice");
    let dir = ca.dir.path().join("alice");
    saved.save(&dir).unwrap();
    let loaded = Identity::load(NOW, &dir).unwrap();
    assert_eq!(loaded.certificate(), saved.certificate());
    assert_eq!(loaded.root().fingerprint(), ca.root().fingerprint());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("device.key"))), (0o700, 0o600));
}

#[test]
fn missing_files_are_named() {
    let ca = TestCa::new();
    let dir = ca.dir.path().join("alice");
    ca.device("alice").save(&dir).unwrap();
    for name in ["root.pem", "device.pem", "device.key"] {
        fs::remove_file(dir.join(name)).unwrap();
        let message = refusal(&dir).to_string();
        assert!(message.contains(name) && message.contains("enrol"), "{message}");
    }
}

#[test]
fn key_that_others_can_read_is_refused() {
    let ca = TestCa::new();
    let dir = ca.dir.path().join("alice");
    ca.device("alice").save(&dir).unwrap();
    fs::set_permissions(dir.join("device.key"), Permissions::from_mode(0o640)).unwrap();
    let message = refusal(&dir).to_string();
    assert!(message.contains("640") && message.contains("chmod 600"), "{message}");
}

#[test]
fn key_of_another_certificate_is_refused() {
    let ca = TestCa::new();
    let (dir, other) = (ca.dir.path().join("alice"), ca.dir.path().join("bob"));
    ca.device("alice").save(&dir).unwrap();
    ca.device("bob").save(&other).unwrap();
    fs::copy(other.join("device.key"), dir.join("device.key")).unwrap();
    assert!(matches!(refusal(&dir), IdentityError::Mismatch { .. }));
}

#[test]
fn expired_certificate_is_refused_by_name_and_date() {
    let ca = TestCa::new();
    let dir = ca.dir.path().join("alice");
    ca.device("alice").save(&dir).unwrap();
    let error = Identity::load(later(183 * 86_400), &dir).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, IdentityError::Expired { .. }), "{message}");
    assert!(message.contains("alice@example.org") && message.contains("2027-07-16"), "{message}");
}

#[test]
fn root_of_another_ca_is_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let dir = ca.dir.path().join("alice");
    ca.device("alice").save(&dir).unwrap();
    fs::copy(other.dir.path().join("root.pem"), dir.join("root.pem")).unwrap();
    let message = refusal(&dir).to_string();
    assert!(message.contains("another CA"), "{message}");
}

#[test]
fn garbage_in_the_files_is_refused() {
    let ca = TestCa::new();
    let dir = ca.dir.path().join("alice");
    for name in ["device.key", "device.pem", "root.pem"] {
        ca.device("alice").save(&dir).unwrap();
        fs::write(dir.join(name), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let message = refusal(&dir).to_string();
        assert!(message.contains("enrol"), "{message}");
        fs::write(dir.join(name), vec![b'x'; 100_000]).unwrap();
        let message = refusal(&dir).to_string();
        assert!(message.contains("larger"), "{message}");
    }
}

#[test]
fn debug_output_shows_no_private_key() {
    let ca = TestCa::new();
    let alice = ca.device("alice");
    let dir = ca.dir.path().join("alice");
    alice.save(&dir).unwrap();
    let pem = fs::read_to_string(dir.join("device.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let shown = format!("{alice:?} {:?}", alice.key());
    assert!(shown.contains(&alice.node().to_string()) && !shown.contains(&secret[20..]));
}
