//! The CA's folder: keys, certificates, database and outbox.

#![allow(clippy::unwrap_used)]

mod common;

use std::{io, time::Duration};

use common::{FOUNDED, NOW, TestCa, earlier, key, later, user};
use sabha_core::{
    Fingerprint,
    ca::{Authority, AuthoritySettings, CaRefusal, Mail, Outbox},
};

#[test]
fn database_holds_no_otp() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let otp = ca.otp(NOW, &alice);
    let plain = otp.replace('-', "");
    for name in ["ca.sqlite", "ca.sqlite-wal"] {
        let bytes = std::fs::read(ca.dir.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&otp) && !text.contains(&plain), "{name}");
    }
}

#[test]
fn root_key_may_be_offline_until_a_new_issuing_ca_is_due() {
    let ca = TestCa::new();
    let offline = ca.dir.path().join("elsewhere");
    std::fs::rename(ca.dir.path().join("root.key"), &offline).unwrap();
    let settings = AuthoritySettings::default();
    let open = |now| Authority::open_or_create(now, ca.dir.path(), settings.clone());
    open(later(86_400)).unwrap().issue(later(86_400), &user("alice"), key(), false).unwrap();
    let after = later(6 * 365 * 86_400);
    let error = open(after).err().unwrap().to_string();
    assert!(error.contains("root.key"), "{error}");
    std::fs::rename(&offline, ca.dir.path().join("root.key")).unwrap();
    let renewed = open(after).unwrap();
    assert_eq!(renewed.root().fingerprint(), ca.root().fingerprint());
    renewed.issue(after, &user("alice"), key(), false).unwrap();
}

#[test]
fn device_certificate_never_outlives_the_issuing_ca() {
    let ca = TestCa::new();
    let end = FOUNDED.after(Duration::from_secs(5 * 365 * 86_400));
    let device = ca.device_at(end.before(Duration::from_secs(3600)), "alice", false);
    assert_eq!(device.certificate().not_after, end);
}

#[test]
fn every_file_of_the_outbox_is_private_and_says_to_whom() {
    use std::os::unix::fs::PermissionsExt;

    let (ca, alice, bob) = (TestCa::new(), user("alice"), user("bob"));
    let first = ca.otp(NOW, &alice);
    let second = ca.otp(NOW, &bob);
    assert_eq!((ca.mailed(&alice).unwrap(), ca.mailed(&bob).unwrap()), (first, second));
    assert_eq!(ca.mailed(&user("carol")), None);
    for entry in std::fs::read_dir(ca.dir.path().join("outbox")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn failing_mail_is_told() {
    struct Broken;
    impl Outbox for Broken {
        fn send(&self, _: &Mail) -> io::Result<()> {
            Err(io::Error::other("no route to the mail server"))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(NOW, dir.path(), AuthoritySettings::default());
    let authority = authority.unwrap().with_outbox(Box::new(Broken));
    assert_eq!(authority.request_otp(NOW, &user("alice")), Err(CaRefusal::MailFailed));
}

#[test]
fn leaf_fingerprint_is_sha256_of_its_der() {
    let ca = TestCa::new();
    let alice = ca.device_at(earlier(10), "alice", false);
    assert_eq!(alice.certificate().fingerprint, Fingerprint::of(&alice.chain()[0]));
}
