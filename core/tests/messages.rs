//! Every message survives the wire; nothing hostile does.

#![allow(clippy::unwrap_used)]

mod common;

use common::{NOW, TestCa, later, user};
use proptest::prelude::*;
use sabha_core::{
    Fingerprint, Identity, NodeId,
    ca::{
        CaCode,
        message::{CaAnswer, CaRequest},
    },
    certificate::{MixerMark, PeerCertificate},
    message::{
        Answer, ConferenceId, ConferenceOrigin, ConferenceSettings, Epoch, Event, JoinAnswer,
        JoinLink, JoinRequest, Message, MessageError, Mode, PermitList, Refusal, RefusalCode,
        Request, RosterChange, Signed, SignedError, Ticket,
    },
};
use sabha_media::{
    leg::{LegId, LegRole, Ssrc},
    srtp::SrtpSuite,
};

const CONFERENCE: ConferenceId = ConferenceId([5; 32]);
const LEG: LegId = LegId { shard: 1, index: 2, generation: 3 };

fn ticket() -> Ticket {
    Ticket {
        conference: CONFERENCE,
        user: user("alice"),
        role: LegRole::Standby,
        node: NodeId([6; 32]),
        addresses: vec!["192.0.2.1:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap()],
        epoch: Epoch { counter: 7, rank: 1 },
        issued: NOW,
        expires: later(60),
    }
}

fn permit_list(host: NodeId) -> PermitList {
    PermitList {
        origin: ConferenceOrigin::new(NOW, host, 20_270_115, 1).unwrap(),
        issued: NOW,
        expires: later(60),
        users: [user("alice"), user("bob")].into(),
        cohosts: [user("carol")].into(),
        settings: ConferenceSettings { mode: Mode::Bridge, ..ConferenceSettings::default() },
    }
}

fn requests(host: &Identity) -> Vec<Request> {
    let (conference, user, role) = (CONFERENCE, user("alice"), LegRole::Trunk);
    vec![
        Request::CreateConference {
            permit_list: Signed::sign(&permit_list(host.node()), host).unwrap(),
        },
        Request::Join(JoinRequest {
            ticket: Signed::sign(&ticket(), host).unwrap(),
            role: LegRole::Member,
            suites: vec![7, 8],
            client_version: "sabha/0.1".into(),
        }),
        Request::Leave { leg: LEG },
        Request::Mute { conference, user, muted: true },
        Request::Lock { conference, locked: false },
        Request::End { conference },
        Request::Register { conference, role },
        Request::Ping {},
    ]
}

fn join_answer() -> JoinAnswer {
    JoinAnswer {
        leg: LEG,
        leg_generation: 4,
        epoch: Epoch { counter: u64::MAX, rank: u16::MAX },
        suite: SrtpSuite::AeadAes128Gcm,
        media_addresses: vec!["[::1]:4000".parse().unwrap()],
        send_ssrc: Ssrc(1),
        receive_ssrcs: vec![Ssrc(2), Ssrc(u32::MAX)],
        payload_type: 111,
        client_level_extension: 1,
        mixer_level_extension: 2,
        packet_ms: 20,
        mode: Mode::Other("hologram".into()),
        cname: "x".repeat(255),
    }
}

fn answers(host: &Identity) -> Vec<Answer> {
    vec![
        Answer::Created { conference: CONFERENCE, epoch: Epoch::default() },
        Answer::Joined(join_answer()),
        Answer::Registered { ticket: Signed::sign(&ticket(), host).unwrap() },
        Answer::Done {},
        Answer::Pong {},
        Answer::refuse(RefusalCode::Locked, "the host locked the conference"),
    ]
}

fn events() -> Vec<Event> {
    let user = user("alice");
    let changes = vec![RosterChange { user: user.clone(), ssrc: Ssrc(9), joined: true }; 128];
    vec![
        Event::Roster { conference: CONFERENCE, changes },
        Event::Muted { conference: CONFERENCE, user, muted: false },
        Event::Ended { conference: CONFERENCE, reason: "the host left".into() },
    ]
}

fn ca_requests() -> Vec<CaRequest> {
    let (csr, proof) = (vec![1, 2].into(), vec![3; 64].into());
    vec![
        CaRequest::RequestOtp { user: user("alice") },
        CaRequest::Nonce {},
        CaRequest::Redeem { user: user("alice"), otp: "A".into(), csr, proof, mixer: true },
        CaRequest::Renew { chain: vec![vec![1].into()], proof: vec![3; 64].into() },
    ]
}

fn ca_answers() -> Vec<CaAnswer> {
    vec![
        CaAnswer::OtpSent {},
        CaAnswer::Nonce { nonce: [1; 32] },
        CaAnswer::Issued { chain: vec![vec![1].into(), vec![2].into()] },
        CaAnswer::Refused { code: CaCode::WrongOtp, message: "wrong".into() },
    ]
}

fn round_trips<M: Message + PartialEq>(messages: &[M]) {
    assert_eq!(messages.len(), M::KINDS.len(), "every kind of {}", M::NAME);
    for (message, (kind, _)) in messages.iter().zip(M::KINDS) {
        let bytes = message.encode().unwrap();
        assert!(M::decode(&bytes).unwrap() == *message, "{} {kind}", M::NAME);
        for end in 0..bytes.len() {
            assert!(M::decode(&bytes[..end]).is_err(), "{} {kind} cut at {end}", M::NAME);
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(M::decode(&longer).is_err(), "{} {kind} with a byte more", M::NAME);
    }
}

#[test]
fn every_message_round_trips_and_no_part_of_one_is_accepted() {
    let ca = TestCa::new();
    let host = ca.device("host");
    round_trips(&requests(&host));
    round_trips(&answers(&host));
    round_trips(&events());
    round_trips(&ca_requests());
    round_trips(&ca_answers());
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    let nested = b"\xa3\x65later\x9f\x82\x01\x02\xff\x63leg\xa4\x65shard\x01\x65index\x02\
        \x6ageneration\x03\x63new\xf6\x65other\xfb\x00\x00\x00\x00\x00\x00\x00\x00";
    let bytes = [b"\xa1\x65leave", &nested[..]].concat();
    assert_eq!(Request::decode(&bytes).unwrap(), Request::Leave { leg: LEG });
}

#[test]
fn messages_of_a_later_version_are_named_as_such() {
    let error = Event::decode(b"\xa1\x65moved\xa0").unwrap_err();
    assert_eq!(error, MessageError::UnknownKind { what: "event", kind: "moved".into() });
}

#[test]
fn unknown_names_of_open_enums_are_kept() {
    let refusal = Refusal::new(RefusalCode::from("too_hot".to_owned()), "wait");
    assert_eq!(refusal.code, RefusalCode::Other("too_hot".into()));
    let answer = Answer::Refused(refusal);
    assert_eq!(Answer::decode(&answer.encode().unwrap()).unwrap(), answer);
}

#[test]
fn messages_over_their_limit_are_refused_by_both_sides() {
    for (kind, max) in Request::KINDS {
        let mut bytes = vec![0xa1, 0x60 + u8::try_from(kind.len()).unwrap()];
        bytes.extend_from_slice(kind.as_bytes());
        bytes.resize(max + 1, 0);
        let error = Request::decode(&bytes).unwrap_err();
        assert!(matches!(error, MessageError::TooLong { .. }), "{kind}: {error}");
    }
    let reason = "x".repeat(3000);
    let error = Event::Ended { conference: CONFERENCE, reason }.encode().unwrap_err();
    assert!(matches!(error, MessageError::TooLong { max: 2048, .. }), "{error}");
}

#[test]
fn values_out_of_bounds_are_refused() {
    let wrong = [
        JoinAnswer { payload_type: 128, ..join_answer() },
        JoinAnswer { client_level_extension: 0, ..join_answer() },
        JoinAnswer { mixer_level_extension: 15, ..join_answer() },
        JoinAnswer { cname: "x".repeat(256), ..join_answer() },
        JoinAnswer { cname: "a\nb".into(), ..join_answer() },
        JoinAnswer { receive_ssrcs: vec![Ssrc(1); 65], ..join_answer() },
        JoinAnswer { media_addresses: vec!["[::1]:1".parse().unwrap(); 9], ..join_answer() },
    ];
    for answer in wrong {
        let bytes = Answer::Joined(answer.clone()).encode().unwrap();
        assert!(Answer::decode(&bytes).is_err(), "{answer:?}");
    }
}

#[test]
fn list_that_claims_more_than_it_holds_costs_nothing() {
    let huge = b"\xa1\x66roster\xa1\x67changes\x9b\xff\xff\xff\xff\xff\xff\xff\xff";
    assert!(matches!(Event::decode(huge), Err(MessageError::Malformed { .. })));
}

#[test]
fn deep_nesting_in_an_ignored_field_is_skipped_without_recursion() {
    let mut bytes = b"\xa1\x64ping\xa1\x61x".to_vec();
    bytes.resize(1000, 0x81);
    bytes.push(0);
    assert_eq!(Request::decode(&bytes).unwrap(), Request::Ping {});
}

#[test]
fn longest_permit_list_fits_its_limit_and_one_user_more_does_not() {
    let ca = TestCa::new();
    let host = ca.device("host");
    let list = |count: usize| PermitList {
        users: (0..count).map(|index| user(&format!("member.number.{index:06}"))).collect(),
        ..permit_list(host.node())
    };
    let permit_list = Signed::sign(&list(20_000), &host).unwrap();
    permit_list.verify(ca.root(), NOW).unwrap();
    let request = Request::CreateConference { permit_list };
    assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
    let over = Signed::sign(&list(20_001), &host).unwrap();
    assert!(matches!(over.verify(ca.root(), NOW), Err(SignedError::Payload(_))));
}

#[test]
fn signed_record_names_its_signer_and_any_changed_byte_is_refused() {
    let ca = TestCa::new();
    let host = ca.device("host");
    let signed = Signed::sign(&ticket(), &host).unwrap();
    let verified = signed.verify(ca.root(), NOW).unwrap();
    assert_eq!((verified.signer(), &*verified), (host.certificate(), &ticket()));
    let bytes = Answer::Registered { ticket: signed }.encode().unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        if let Ok(Answer::Registered { ticket }) = Answer::decode(&changed) {
            assert!(ticket.verify(ca.root(), NOW).is_err(), "byte {index}");
        }
    }
}

#[test]
fn signature_for_another_purpose_is_refused() {
    let ca = TestCa::new();
    let host = ca.device("host");
    let signed = Signed::sign(&ticket(), &host).unwrap();
    let bytes = Answer::Registered { ticket: signed }.encode().unwrap();
    let renamed = String::from_utf8_lossy(&bytes).contains("registered");
    assert!(renamed);
    // The same bytes read as a permit list: the domain differs, so the signature does not fit.
    let inner = bytes[b"\xa1\x6aregistered\xa1\x66ticket".len()..].to_vec();
    let request = [&b"\xa1\x71create_conference\xa1\x6bpermit_list"[..], &inner].concat();
    let Request::CreateConference { permit_list } = Request::decode(&request).unwrap() else {
        panic!("decoded as another request")
    };
    let error = permit_list.verify(ca.root(), NOW).unwrap_err();
    assert!(matches!(error, SignedError::Signature { .. }), "{error}");
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        decode_all(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(
        which in 0usize..30,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let samples = samples();
        let mut bytes = samples[which % samples.len()].clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        decode_all(&bytes);
    }

    #[test]
    fn join_links_round_trip(
        conference in any::<[u8; 32]>(),
        host in any::<[u8; 32]>(),
        root in any::<[u8; 32]>(),
        addresses in proptest::collection::vec(any::<std::net::SocketAddr>(), 0..4),
    ) {
        let addresses = addresses
            .into_iter()
            .map(|address| std::net::SocketAddr::new(address.ip(), address.port()))
            .collect();
        let (conference, host) = (ConferenceId(conference), NodeId(host));
        let link = JoinLink { conference, host, root: Fingerprint(root), addresses };
        prop_assert_eq!(link.to_string().parse::<JoinLink>(), Ok(link));
    }
}

fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        let ca = TestCa::new();
        let host = ca.mixer("host");
        let mut samples: Vec<Vec<u8>> = Vec::new();
        samples.extend(requests(&host).iter().map(|message| message.encode().unwrap()));
        samples.extend(answers(&host).iter().map(|message| message.encode().unwrap()));
        samples.extend(events().iter().map(|message| message.encode().unwrap()));
        samples.extend(ca_requests().iter().map(|message| message.encode().unwrap()));
        samples.extend(ca_answers().iter().map(|message| message.encode().unwrap()));
        samples.push(host.chain()[0].to_vec());
        samples
    })
}

fn decode_all(bytes: &[u8]) {
    let _ = Request::decode(bytes);
    let _ = Answer::decode(bytes);
    let _ = Event::decode(bytes);
    let _ = CaRequest::decode(bytes);
    let _ = CaAnswer::decode(bytes);
    let _ = PeerCertificate::parse(bytes);
    let _ = MixerMark::from_der(bytes);
    let _ = String::from_utf8_lossy(bytes).parse::<JoinLink>();
}
