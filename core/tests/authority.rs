//! What the CA gives, to whom, and every way in which it refuses.

#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Barrier, thread, time::Duration};

use common::{NONCE, NOW, TestCa, csr, key, later, redeem, user};
use sabha_core::ca::{Authority, AuthoritySettings, CaRefusal, Redemption, Renewal};

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
