//! Many identities in one file: what is kept, and what is refused.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use common::{NOW, TestCa, later, user};
use sabha_core::{
    FileError, Identity,
    ca::AuthoritySettings,
    certificate::ChainError,
    identity::{BundleError, IdentityError, bundle},
};

/// A test network's CA, three of its devices, and a file of them.
struct Case {
    ca: TestCa,
    identities: Vec<Identity>,
    path: PathBuf,
}

impl Case {
    fn new() -> Self {
        let settings = AuthoritySettings { test_network: true, ..AuthoritySettings::default() };
        let ca = TestCa::with(settings);
        let users: Vec<_> = ["a", "b", "c"].into_iter().map(user).collect();
        let identities = ca.authority.issue_many(NOW, &users, false).unwrap();
        let path = ca.dir.path().join("members");
        Self { ca, identities, path }
    }

    fn saved() -> Self {
        let case = Self::new();
        bundle::save(&case.path, &case.identities).unwrap();
        case
    }

    fn refusal(&self) -> BundleError {
        bundle::load(NOW, &self.path).unwrap_err()
    }

    /// Writes the file again with some bytes exchanged for others of the same length, wherever
    /// they are.
    fn exchange(&self, from: &[u8], to: &[u8]) {
        let mut bytes = fs::read(&self.path).unwrap();
        let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
        fs::write(&self.path, bytes).unwrap();
    }
}

#[test]
fn identities_come_back_as_they_were_and_in_order() {
    let case = Case::saved();
    let loaded = bundle::load(NOW, &case.path).unwrap();
    assert_eq!(loaded.len(), case.identities.len());
    for (loaded, saved) in loaded.iter().zip(&case.identities) {
        assert_eq!(loaded.certificate(), saved.certificate());
        assert_eq!(loaded.chain(), saved.chain());
        assert_eq!(loaded.key().node(), saved.key().node());
        assert_eq!(loaded.root().fingerprint(), case.ca.root().fingerprint());
    }
}

#[test]
fn loaded_identity_can_be_saved_as_a_device_of_its_own() {
    let case = Case::saved();
    let dir = case.ca.dir.path().join("a");
    bundle::load(NOW, &case.path).unwrap()[0].save(&dir).unwrap();
    let alone = Identity::load(NOW, &dir).unwrap();
    assert_eq!(alone.certificate(), case.identities[0].certificate());
}

#[test]
fn file_is_private_and_an_exposed_one_is_refused() {
    let case = Case::saved();
    let mode = fs::metadata(&case.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&case.path, Permissions::from_mode(0o640)).unwrap();
    let error = case.refusal();
    assert!(matches!(error, BundleError::File(FileError::Exposed { .. })), "{error}");
}

#[test]
fn write_that_fails_leaves_nothing_and_what_was_there() {
    let case = Case::saved();
    let before = fs::read(&case.path).unwrap();
    // A folder cannot be replaced by a file, so the last step fails.
    let taken = case.ca.dir.path().join("taken");
    fs::create_dir_all(taken.join("inside")).unwrap();
    let names = || {
        let entries = fs::read_dir(case.ca.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let had = names();
    bundle::save(&taken, &case.identities).unwrap_err();
    assert_eq!(names(), had);
    assert!(bundle::save(&case.path, &[]).is_err());
    assert_eq!(fs::read(&case.path).unwrap(), before);
}

#[test]
fn identities_of_no_or_another_ca_are_not_written() {
    let (case, other) = (Case::new(), Case::new());
    let mixed = [case.identities[0].clone(), other.identities[0].clone()];
    assert!(matches!(bundle::save(&case.path, &mixed), Err(BundleError::Mixed(_))));
    assert!(matches!(bundle::save(&case.path, &[]), Err(BundleError::Mixed(_))));
    let ordinary = TestCa::new().device("alice");
    let refused = bundle::save(&case.path, &[ordinary]);
    assert!(matches!(refused, Err(BundleError::NoTestNetwork)));
    assert!(!case.path.exists());
}

#[test]
fn device_of_a_foreign_ca_in_the_file_is_named_and_refused() {
    let (case, other) = (Case::saved(), Case::saved());
    let (ours, theirs) = (case.ca.root().der().to_vec(), other.ca.root().der().to_vec());
    assert_eq!(ours.len(), theirs.len());
    case.exchange(&ours, &theirs);
    let error = case.refusal();
    let foreign = IdentityError::Chain(ChainError::OtherAuthority(other.ca.root().fingerprint()));
    let BundleError::Identity { node, error } = error else { panic!("{error}") };
    assert_eq!(error.to_string(), foreign.to_string());
    assert!(case.identities.iter().any(|one| one.node() == node));
}

#[test]
fn root_of_an_ordinary_network_is_refused() {
    let case = Case::saved();
    case.exchange(b"Sabha Test Network Root CA", b"Sabha Just Another Root CA");
    let error = case.refusal();
    assert!(matches!(error, BundleError::NoTestNetwork), "{error}");
}

#[test]
fn expired_identities_are_refused() {
    let case = Case::saved();
    let error = bundle::load(later(183 * 86_400), &case.path).unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}

#[test]
fn missing_damaged_and_prolonged_files_are_refused() {
    let case = Case::new();
    let error = case.refusal();
    assert!(matches!(error, BundleError::File(FileError::Missing(_))), "{error}");
    bundle::save(&case.path, &case.identities).unwrap();
    let whole = fs::read(&case.path).unwrap();
    for len in (0..whole.len()).step_by(97) {
        fs::write(&case.path, &whole[..len]).unwrap();
        let error = case.refusal();
        assert!(matches!(error, BundleError::Malformed(_)), "{len}: {error}");
    }
    fs::write(&case.path, [&whole[..], &[0]].concat()).unwrap();
    let error = case.refusal();
    assert!(matches!(error, BundleError::Malformed(_)), "{error}");
    fs::write(&case.path, &whole).unwrap();
    case.exchange(b"sabha identities 1", b"sabha identities 2");
    let error = case.refusal().to_string();
    assert!(error.contains("sabha ca bulk"), "{error}");
}
