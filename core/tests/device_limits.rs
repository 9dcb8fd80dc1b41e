//! Mixer marks, the limits for each user, and renewal.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{NONCE, NOW, TestCa, key, later, redeem, redeem_mixer, user};
use sabha_core::{
    DeviceKey,
    ca::{Authority, AuthoritySettings, CaRefusal, MixerPolicy, Renewal},
};

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
    let renewal = Renewal { chain: &node.chain(), proof: &proof, nonce: &NONCE };
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
        let renewal = Renewal { chain: &alice.chain(), proof: &proof, nonce: &NONCE };
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
fn marked_key_keeps_its_mark_while_its_certificate_is_valid() {
    let ca = TestCa::new();
    let node = ca.mixer("alice");
    let reissue = |now, mixer| {
        let identity = ca.authority.issue(now, node.user(), node.key().clone(), mixer).unwrap();
        identity.certificate().mixer.map(|mark| mark.node_since)
    };
    assert_eq!(reissue(later(1), false), Some(NOW), "the old certificate still has the mark");
    assert_eq!(reissue(later(86_400), true), Some(NOW));
    let lapsed = later(184 * 86_400);
    assert_eq!(reissue(lapsed, true), Some(lapsed), "a lapsed mark begins anew");
}
