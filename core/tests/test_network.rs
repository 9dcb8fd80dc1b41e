//! A CA that was made for a test network: what it may do that no other may.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{FOUNDED, NOW, TestCa, key, redeem, user};
use sabha_core::{
    UserId,
    ca::{Authority, AuthorityError, AuthoritySettings, BulkError, CaRefusal, MixerPolicy},
    certificate::{PeerCertificate, TrustRoot},
};

fn test_settings() -> AuthoritySettings {
    AuthoritySettings { test_network: true, ..AuthoritySettings::default() }
}

fn test_ca() -> TestCa {
    TestCa::with(test_settings())
}

fn users(names: &[&str]) -> Vec<UserId> {
    names.iter().map(|name| user(name)).collect()
}

#[test]
fn devices_in_bulk_have_keys_and_certificates_of_their_own_in_order() {
    let (ca, users) = (test_ca(), users(&["a", "b", "c"]));
    let identities = ca.authority.issue_many(NOW, &users, false).unwrap();
    let named: Vec<_> = identities.iter().map(|one| one.user().clone()).collect();
    assert_eq!(named, users);
    for (index, identity) in identities.iter().enumerate() {
        let verified = ca.root().verify_device(NOW, &identity.chain()).unwrap();
        assert_eq!(verified.node, identity.key().node());
        assert!(identities[..index].iter().all(|other| other.node() != identity.node()));
    }
}

#[test]
fn bulk_certificate_says_what_one_by_password_says() {
    let (ca, alice) = (test_ca(), user("alice"));
    let otp = ca.otp(NOW, &alice);
    let by_otp = redeem(&ca.authority, NOW, &alice, &otp, &key()).unwrap();
    let bulk = ca.authority.issue_many(NOW, &[alice], false).unwrap().remove(0);
    let PeerCertificate { user, mixer, not_after, .. } = bulk.certificate();
    assert_eq!((user, mixer, not_after), (&by_otp.user, &by_otp.mixer, &by_otp.not_after));
}

#[test]
fn bulk_mixers_carry_the_mark_as_far_as_the_policy_allows() {
    let ca = test_ca();
    let marked = ca.authority.issue_many(NOW, &users(&["a", "b"]), true).unwrap();
    assert!(marked.iter().all(|one| one.certificate().mixer.unwrap().node_since == NOW));
    let mixers = MixerPolicy::Only(users(&["a"]).into_iter().collect());
    let ca = TestCa::with(AuthoritySettings { mixers, ..test_settings() });
    let refused = ca.authority.issue_many(NOW, &users(&["a", "b"]), true).unwrap_err();
    assert!(
        matches!(&refused, BulkError::Refused(CaRefusal::MixerForbidden(who)) if *who == user("b")),
        "{refused}"
    );
}

#[test]
fn bulk_devices_are_recorded_and_count_towards_the_limits() {
    let ca = TestCa::with(AuthoritySettings { devices_per_user_max: 2, ..test_settings() });
    let both = users(&["a", "b"]);
    ca.authority.issue_many(NOW, &both, false).unwrap();
    ca.device_at(NOW, "b", false);
    let refused = ca.authority.issue_many(NOW, &both, false).unwrap_err();
    assert!(matches!(refused, BulkError::Refused(CaRefusal::TooManyDevices { .. })), "{refused}");
    // The refusal for one leaves the other's count as it was.
    ca.authority.issue_many(NOW, &users(&["a"]), false).unwrap();
    ca.authority.issue_many(NOW, &users(&["a"]), false).unwrap_err();
}

#[test]
fn ordinary_ca_enrols_nobody_in_bulk() {
    let ca = TestCa::new();
    let refused = ca.authority.issue_many(NOW, &users(&["a"]), false).unwrap_err();
    assert!(matches!(refused, BulkError::NoTestNetwork), "{refused}");
    assert!(refused.to_string().contains("--test-network"), "{refused}");
}

#[test]
fn no_user_too_many_and_the_same_twice_are_refused() {
    let ca = test_ca();
    let none = ca.authority.issue_many(NOW, &[], false).unwrap_err();
    assert!(matches!(none, BulkError::Count(0)), "{none}");
    let many: Vec<_> = (0..20_001).map(|index| user(&format!("m{index}"))).collect();
    let many = ca.authority.issue_many(NOW, &many, false).unwrap_err();
    assert!(matches!(many, BulkError::Count(20_001)), "{many}");
    assert!(many.to_string().contains("1 to 20000"), "{many}");
    let twice = ca.authority.issue_many(NOW, &users(&["a", "b", "a"]), false).unwrap_err();
    assert!(matches!(&twice, BulkError::Repeated(who) if *who == user("a")), "{twice}");
}

#[test]
fn kind_of_a_ca_never_changes() {
    let (ordinary, test) = (TestCa::new(), test_ca());
    let open = |ca: &TestCa, settings| Authority::open_or_create(NOW, ca.dir.path(), settings);
    let error = open(&ordinary, test_settings()).err().unwrap();
    assert!(matches!(error, AuthorityError::NoTestNetwork(_)), "{error}");
    let error = open(&test, AuthoritySettings::default()).err().unwrap();
    assert!(matches!(error, AuthorityError::TestNetwork(_)), "{error}");
    assert!(error.to_string().contains("--test-network"), "{error}");
    open(&ordinary, AuthoritySettings::default()).unwrap();
    open(&test, test_settings()).unwrap();
}

#[test]
fn kind_of_a_ca_is_told_by_its_root_to_everybody() {
    let (ordinary, test) = (TestCa::new(), test_ca());
    assert!(!ordinary.root().is_test_network() && test.root().is_test_network());
    let again = TrustRoot::new(test.root().der().clone()).unwrap();
    assert!(again.is_test_network());
    assert!(test.device("a").root().is_test_network());
    let text = String::from_utf8_lossy(test.root().der()).into_owned();
    assert!(text.contains("Sabha Test Network Root CA"));
}

#[test]
fn new_issuing_ca_of_a_test_network_keeps_its_kind() {
    let ca = test_ca();
    let after = FOUNDED.after(Duration::from_secs(6 * 365 * 86_400));
    let renewed = Authority::open_or_create(after, ca.dir.path(), test_settings()).unwrap();
    renewed.issue_many(after, &users(&["a"]), false).unwrap();
}

#[test]
fn opening_makes_no_ca_and_takes_either_kind() {
    let (ordinary, test) = (TestCa::new(), test_ca());
    let open = |dir| Authority::open(NOW, dir, AuthoritySettings::default());
    assert!(!open(ordinary.dir.path()).unwrap().settings().test_network);
    assert!(open(test.dir.path()).unwrap().settings().test_network);
    let empty = tempfile::tempdir().unwrap();
    let error = open(&empty.path().join("ca")).err().unwrap();
    assert!(matches!(error, AuthorityError::Missing(_)), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn second_process_on_the_folder_issues_in_bulk_beside_the_first() {
    let ca = test_ca();
    let second = Authority::open(NOW, ca.dir.path(), test_settings()).unwrap();
    let others: Vec<_> = (0..200).map(|index| user(&format!("m{index}"))).collect();
    std::thread::scope(|scope| {
        let bulk = scope.spawn(|| second.issue_many(NOW, &others, false));
        for index in 0..50 {
            ca.device(&format!("n{index}"));
        }
        assert_eq!(bulk.join().unwrap().unwrap().len(), 200);
    });
}
