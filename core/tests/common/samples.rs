//! One of every message.

use sabha_core::{
    Identity, NodeId,
    ca::{
        CaCode,
        message::{CaAnswer, CaRequest},
    },
    message::{
        Answer, ConferenceId, ConferenceOrigin, ConferenceSettings, Epoch, Event, JoinAnswer,
        JoinRequest, Message, Mode, PermitList, RefusalCode, Request, RosterChange, Signed, Ticket,
    },
};
use sabha_media::{
    leg::{LegId, LegRole, Ssrc},
    srtp::SrtpSuite,
};

use super::{NOW, TestCa, later, user};

pub const CONFERENCE: ConferenceId = ConferenceId([5; 32]);
pub const LEG: LegId = LegId { shard: 1, index: 2, generation: 3 };

pub fn ticket() -> Ticket {
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

pub fn permit_list(host: NodeId) -> PermitList {
    PermitList {
        origin: ConferenceOrigin::new(NOW, host, 20_270_115, 1).unwrap(),
        issued: NOW,
        expires: later(60),
        users: [user("alice"), user("bob")].into(),
        cohosts: [user("carol")].into(),
        settings: ConferenceSettings { mode: Mode::Bridge, ..ConferenceSettings::default() },
    }
}

pub fn requests(host: &Identity) -> Vec<Request> {
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
            red: true,
            streams_max: 4,
        }),
        Request::Leave { leg: LEG },
        Request::Mute { conference, user, muted: true },
        Request::Lock { conference, locked: false },
        Request::End { conference },
        Request::Register { conference, role },
        Request::Ping {},
    ]
}

pub fn join_answer() -> JoinAnswer {
    JoinAnswer {
        leg: LEG,
        leg_generation: 4,
        epoch: Epoch { counter: u64::MAX, rank: u16::MAX },
        suite: SrtpSuite::AeadAes128Gcm,
        media_addresses: vec!["[::1]:4000".parse().unwrap()],
        send_ssrc: Ssrc(1),
        receive_ssrcs: vec![Ssrc(2), Ssrc(u32::MAX)],
        payload_type: 111,
        red_payload_type: Some(112),
        client_level_extension: 1,
        mixer_level_extension: 2,
        packet_ms: 20,
        mode: Mode::Other("hologram".into()),
        cname: "x".repeat(255),
    }
}

pub fn answers(host: &Identity) -> Vec<Answer> {
    vec![
        Answer::Created { conference: CONFERENCE, epoch: Epoch::default() },
        Answer::Joined(join_answer()),
        Answer::Registered { ticket: Signed::sign(&ticket(), host).unwrap() },
        Answer::Done {},
        Answer::Pong {},
        Answer::refuse(RefusalCode::Locked, "the host locked the conference"),
    ]
}

pub fn events() -> Vec<Event> {
    let user = user("alice");
    let changes = vec![RosterChange { user: user.clone(), ssrc: Ssrc(9), joined: true }; 128];
    vec![
        Event::Roster { conference: CONFERENCE, complete: true, changes },
        Event::Muted { conference: CONFERENCE, user, muted: false },
        Event::Ended { conference: CONFERENCE, reason: "the host left".into() },
    ]
}

pub fn ca_requests() -> Vec<CaRequest> {
    let (csr, proof) = (vec![1, 2].into(), vec![3; 64].into());
    vec![
        CaRequest::RequestOtp { user: user("alice") },
        CaRequest::Nonce {},
        CaRequest::Redeem { user: user("alice"), otp: "A".into(), csr, proof, mixer: true },
        CaRequest::Renew { chain: vec![vec![1].into()], proof: vec![3; 64].into() },
    ]
}

pub fn ca_answers() -> Vec<CaAnswer> {
    vec![
        CaAnswer::OtpSent {},
        CaAnswer::Nonce { nonce: [1; 32] },
        CaAnswer::Issued { chain: vec![vec![1].into(), vec![2].into()] },
        CaAnswer::Refused { code: CaCode::WrongOtp, message: "wrong".into() },
    ]
}

/// Every message, encoded, and a certificate.
pub fn samples() -> &'static [Vec<u8>] {
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
