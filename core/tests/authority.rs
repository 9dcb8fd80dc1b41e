//! What the CA gives, to whom, and every way in which it refuses.

#![allow(clippy::unwrap_used)]

mod common;

use std::{io, sync::Barrier, thread, time::Duration};

use common::{NOW, TestCa, earlier, key, later, user};
use sabha_core::{
    DeviceKey, Fingerprint, UnixTime, UserId,
    ca::{Authority, AuthoritySettings, CaRefusal, Mail, MixerPolicy, Outbox, Redemption, Renewal},
    certificate::PeerCertificate,
};

const NONCE: [u8; 32] = [7; 32];

fn csr(key: &DeviceKey) -> Vec<u8> {
    rcgen::CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn redeem_mixer(
    authority: &Authority,
    now: UnixTime,
    user: &UserId,
    otp: &str,
    key: &DeviceKey,
    mixer: bool,
) -> Result<PeerCertificate, CaRefusal> {
    let csr = csr(key);
    let proof = Redemption::prove(key, &NONCE, user, &csr);
    let redemption = Redemption { user, otp, csr: &csr, proof: &proof, nonce: &NONCE, mixer };
    let chain = authority.redeem(now, &redemption)?;
    Ok(authority.root().verify_device(now, &chain).unwrap())
}

fn redeem(
    authority: &Authority,
    now: UnixTime,
    user: &UserId,
    otp: &str,
    key: &DeviceKey,
) -> Result<PeerCertificate, CaRefusal> {
    redeem_mixer(authority, now, user, otp, key, false)
}

#[test]
fn right_otp_gives_a_certificate_for_user_and_key() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    let certificate = redeem(&ca.authority, later(599), &alice, &otp, &key).unwrap();
    assert_eq!((&certificate.user, certificate.node), (&alice, key.node()));
    assert_eq!(certificate.mixer, None);
    assert_eq!(certificate.not_after, later(599 + 182 * 86_400));
}

#[test]
fn wrong_otp_tells_the_tries_that_are_left() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    for tries_left in [4, 3] {
        let refusal = redeem(&ca.authority, NOW, &alice, "00000-00000", &key).unwrap_err();
        assert_eq!(refusal, CaRefusal::WrongOtp { tries_left });
    }
    redeem(&ca.authority, NOW, &alice, &otp, &key).unwrap();
}

#[test]
fn sixth_try_is_refused_even_if_right() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    for _ in 0..5 {
        redeem(&ca.authority, NOW, &alice, "wrong", &key).unwrap_err();
    }
    assert_eq!(redeem(&ca.authority, NOW, &alice, &otp, &key), Err(CaRefusal::TooManyTries));
}

#[test]
fn fifth_try_is_accepted_if_right() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    for _ in 0..4 {
        redeem(&ca.authority, NOW, &alice, "wrong", &key).unwrap_err();
    }
    redeem(&ca.authority, NOW, &alice, &otp, &key).unwrap();
}

#[test]
fn used_otp_is_refused() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let otp = ca.otp(NOW, &alice);
    redeem(&ca.authority, NOW, &alice, &otp, &key()).unwrap();
    assert_eq!(redeem(&ca.authority, NOW, &alice, &otp, &key()), Err(CaRefusal::AlreadyUsed));
}

#[test]
fn expired_otp_is_refused() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let otp = ca.otp(NOW, &alice);
    let refusal = redeem(&ca.authority, later(600), &alice, &otp, &key()).unwrap_err();
    assert_eq!(refusal, CaRefusal::OtpExpired(Duration::from_secs(600)));
}

#[test]
fn user_who_asked_for_nothing_is_refused() {
    let (ca, alice, mallory) = (TestCa::new(), user("alice"), user("mallory"));
    let otp = ca.otp(NOW, &alice);
    let refusal = redeem(&ca.authority, NOW, &mallory, &otp, &key()).unwrap_err();
    assert_eq!(refusal, CaRefusal::UnknownRequest(mallory));
}

#[test]
fn newer_otp_replaces_the_older() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let old = ca.otp(NOW, &alice);
    let new = ca.otp(later(1), &alice);
    let refusal = redeem(&ca.authority, later(1), &alice, &old, &key()).unwrap_err();
    assert!(matches!(refusal, CaRefusal::WrongOtp { .. }), "{refusal}");
    redeem(&ca.authority, later(1), &alice, &new, &key()).unwrap();
}

#[test]
fn sixth_request_within_an_hour_is_refused_and_later_ones_are_not() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    for secs in 0..5 {
        ca.authority.request_otp(later(secs), &alice).unwrap();
    }
    let refusal = ca.authority.request_otp(later(5), &alice).unwrap_err();
    assert!(matches!(refusal, CaRefusal::RateLimited(_)), "{refusal}");
    ca.authority.request_otp(later(5), &user("bob")).unwrap();
    ca.authority.request_otp(later(3600), &alice).unwrap();
}

#[test]
fn mails_of_all_users_are_limited() {
    let settings = AuthoritySettings { mails_per_hour_max: 2, ..AuthoritySettings::default() };
    let ca = TestCa::with(settings);
    ca.authority.request_otp(NOW, &user("a")).unwrap();
    ca.authority.request_otp(NOW, &user("b")).unwrap();
    let refusal = ca.authority.request_otp(NOW, &user("c")).unwrap_err();
    assert!(matches!(refusal, CaRefusal::RateLimited(_)), "{refusal}");
}

#[test]
fn proof_for_anything_else_is_refused_and_costs_no_try() {
    let (ca, alice, key, other) = (TestCa::new(), user("alice"), key(), key());
    let otp = ca.otp(NOW, &alice);
    let request = csr(&key);
    let proofs = [
        Redemption::prove(&other, &NONCE, &alice, &request),
        Redemption::prove(&key, &[8; 32], &alice, &request),
        Redemption::prove(&key, &NONCE, &user("bob"), &request),
        Redemption::prove(&key, &NONCE, &alice, &csr(&other)),
        Renewal::prove(&key, &NONCE, &request),
        [0; 64],
    ];
    for (index, proof) in proofs.iter().enumerate() {
        let redemption = Redemption {
            user: &alice,
            otp: &otp,
            csr: &request,
            proof,
            nonce: &NONCE,
            mixer: false,
        };
        let refusal = ca.authority.redeem(NOW, &redemption).unwrap_err();
        assert_eq!(refusal, CaRefusal::BadProof, "proof {index}");
    }
    redeem(&ca.authority, NOW, &alice, &otp, &key).unwrap();
}

#[test]
fn bad_signing_requests_are_refused() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    let mut forged = csr(&key);
    *forged.last_mut().unwrap() ^= 1;
    let p256 = rcgen::KeyPair::generate().unwrap();
    let p256 = rcgen::CertificateParams::default().serialize_request(&p256).unwrap();
    let mut long = csr(&key);
    long.push(0);
    for bad in [vec![], vec![0x30; 10_000], forged, p256.der().to_vec(), long] {
        let proof = Redemption::prove(&key, &NONCE, &alice, &bad);
        let redemption = Redemption {
            user: &alice,
            otp: &otp,
            csr: &bad,
            proof: &proof,
            nonce: &NONCE,
            mixer: false,
        };
        let refusal = ca.authority.redeem(NOW, &redemption).unwrap_err();
        assert!(matches!(refusal, CaRefusal::BadCsr(_)), "{refusal}");
    }
}

#[test]
fn parallel_redemption_gives_exactly_one_certificate() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    let otp = ca.otp(NOW, &alice);
    let settings = AuthoritySettings::default();
    let second = Authority::open_or_create(NOW, ca.dir.path(), settings).unwrap();
    let barrier = Barrier::new(4);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let authorities = [&ca.authority, &ca.authority, &second, &second];
        let threads = authorities.map(|authority| {
            let (barrier, alice, otp, key) = (&barrier, &alice, &otp, key());
            scope.spawn(move || {
                barrier.wait();
                redeem(authority, NOW, alice, otp, &key)
            })
        });
        threads.map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = |outcome: &&Result<_, _>| **outcome == Err(CaRefusal::AlreadyUsed);
    assert_eq!(outcomes.iter().filter(refused).count(), 3, "{outcomes:?}");
}

#[test]
fn otp_tries_and_root_survive_a_restart() {
    let (ca, alice, key) = (TestCa::new(), user("alice"), key());
    let otp = ca.otp(NOW, &alice);
    redeem(&ca.authority, NOW, &alice, "wrong", &key).unwrap_err();
    let TestCa { dir, authority } = ca;
    let root = authority.root().fingerprint();
    drop(authority);
    let settings = AuthoritySettings::default();
    let reopened = Authority::open_or_create(later(1), dir.path(), settings.clone()).unwrap();
    assert_eq!(reopened.root().fingerprint(), root);
    let refusal = redeem(&reopened, later(1), &alice, "wrong", &key).unwrap_err();
    assert_eq!(refusal, CaRefusal::WrongOtp { tries_left: 3 });
    redeem(&reopened, later(1), &alice, &otp, &key).unwrap();
    drop(reopened);
    let reopened = Authority::open_or_create(later(2), dir.path(), settings).unwrap();
    let refusal = redeem(&reopened, later(2), &alice, &otp, &key).unwrap_err();
    assert_eq!(refusal, CaRefusal::AlreadyUsed);
}

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
fn mixer_mark_is_given_dated_and_limited_for_each_user() {
    let (ca, alice) = (TestCa::new(), user("alice"));
    for secs in 0..3 {
        let otp = ca.otp(later(secs), &alice);
        let certificate =
            redeem_mixer(&ca.authority, later(secs), &alice, &otp, &key(), true).unwrap();
        assert_eq!(certificate.mixer.unwrap().node_since, later(secs));
    }
    let otp = ca.otp(later(3), &alice);
    let refusal = redeem_mixer(&ca.authority, later(3), &alice, &otp, &key(), true).unwrap_err();
    assert_eq!(refusal, CaRefusal::TooManyMixers { user: alice.clone(), max: 3 });
    redeem(&ca.authority, later(3), &alice, &otp, &key()).expect("the password still serves");
    let after = later(183 * 86_400);
    ca.authority.issue(after, &alice, key(), true).expect("expired mixers no longer count");
}

#[test]
fn mixer_mark_is_for_listed_users_only() {
    let mixers = MixerPolicy::Only([user("operator")].into());
    let ca = TestCa::with(AuthoritySettings { mixers, ..AuthoritySettings::default() });
    assert!(ca.mixer("operator").certificate().mixer.is_some());
    let refusal = ca.authority.issue(NOW, &user("alice"), key(), true).unwrap_err();
    assert_eq!(refusal, CaRefusal::MixerForbidden(user("alice")));
}

#[test]
fn devices_of_a_user_are_limited() {
    let settings = AuthoritySettings { devices_per_user_max: 1, ..AuthoritySettings::default() };
    let ca = TestCa::with(settings);
    let first = ca.device("alice");
    let refusal = ca.authority.issue(NOW, first.user(), key(), false).unwrap_err();
    assert!(matches!(refusal, CaRefusal::TooManyDevices { max: 1, .. }), "{refusal}");
    ca.authority.issue(NOW, first.user(), first.key().clone(), false).expect("the same device");
}

#[test]
fn key_of_another_user_is_refused() {
    let ca = TestCa::new();
    let alice = ca.device("alice");
    let refusal = ca.authority.issue(NOW, &user("bob"), alice.key().clone(), false).unwrap_err();
    assert_eq!(refusal, CaRefusal::KeyOfAnother);
}

#[test]
fn renewal_keeps_key_user_and_node_since() {
    let ca = TestCa::new();
    let node = ca.mixer("alice");
    let now = later(100 * 86_400);
    let proof = Renewal::prove(node.key(), &NONCE, &node.chain()[0]);
    let renewal = Renewal { chain: node.chain(), proof: &proof, nonce: &NONCE };
    let chain = ca.authority.renew(now, &renewal).unwrap();
    let renewed = ca.root().verify_device(now, &chain).unwrap();
    assert_eq!((renewed.node, &renewed.user), (node.node(), node.user()));
    assert_eq!(renewed.mixer.unwrap().node_since, NOW);
    assert_eq!(renewed.not_after, now.after(Duration::from_secs(182 * 86_400)));
    assert_ne!(renewed.fingerprint, node.certificate().fingerprint);
}

#[test]
fn renewal_by_another_key_or_after_expiry_or_at_another_ca_is_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let alice = ca.device("alice");
    let renew = |authority: &Authority, now, signer: &DeviceKey| {
        let proof = Renewal::prove(signer, &NONCE, &alice.chain()[0]);
        let renewal = Renewal { chain: alice.chain(), proof: &proof, nonce: &NONCE };
        authority.renew(now, &renewal).unwrap_err()
    };
    assert_eq!(renew(&ca.authority, NOW, &key()), CaRefusal::BadProof);
    let refusals = [
        renew(&ca.authority, later(183 * 86_400), alice.key()),
        renew(&other.authority, NOW, alice.key()),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, CaRefusal::Certificate(_)), "{refusal}");
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
    let near_end = later(5 * 365 * 86_400 - 3600);
    let device = ca.device_at(near_end, "alice", false);
    assert_eq!(device.certificate().not_after, later(5 * 365 * 86_400));
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
