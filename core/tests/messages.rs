//! Every message survives the wire; nothing hostile does.

#![allow(clippy::unwrap_used)]

mod common;

use common::{
    NOW, TestCa,
    samples::{
        CONFERENCE, LEG, answers, ca_answers, ca_requests, events, join_answer, permit_list,
        requests, ticket,
    },
    user,
};
use sabha_core::message::{
    Answer, Event, JoinAnswer, Message, MessageError, PermitList, Refusal, RefusalCode, Request,
    Signed, SignedError,
};
use sabha_media::leg::Ssrc;

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
        JoinAnswer { red_payload_type: Some(128), ..join_answer() },
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
fn who_does_not_speak_of_redundancy_offers_and_gets_none() {
    let answer = JoinAnswer { red_payload_type: None, ..join_answer() };
    let bytes = Answer::Joined(answer.clone()).encode().unwrap();
    let says = |bytes: &[u8]| bytes.windows(3).any(|three| three == b"red");
    assert!(!says(&bytes));
    assert_eq!(Answer::decode(&bytes).unwrap(), Answer::Joined(answer));

    let ca = TestCa::new();
    let host = ca.device("host");
    let joins = requests(&host).into_iter().filter(|request| matches!(request, Request::Join(_)));
    for join in joins {
        let bytes = join.encode().unwrap();
        // The field and its value, which is the last: a map that holds one pair less.
        let at = bytes.windows(5).position(|five| five == b"\x63red\xf5").unwrap();
        let older = [&bytes[..at], &bytes[at + 5..]].concat();
        let mut older = older;
        let head = older.windows(6).position(|six| &six[..5] == b"\x64join").unwrap() + 5;
        older[head] -= 1;
        let Request::Join(decoded) = Request::decode(&older).unwrap() else { panic!() };
        assert!(!decoded.red);
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
