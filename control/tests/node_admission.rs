//! Whom a node lets in, and in which words it refuses the others.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use sabha_client::member::JoinError;
use sabha_core::Identity;
use sabha_core::message::{
    Answer, ConferenceId, JoinAnswer, JoinRequest, Refusal, RefusalCode, Request, Signed, Ticket,
};
use sabha_core::signalling::Session;
use sabha_media::leg::LegRole;
use support::{
    HOUR, Member, RunningHost, RunningNode, World, assert_says, done, join_request, refusal,
};

/// A conference for alice and bob, and alice's session with its node.
struct Room {
    world: World,
    node: RunningNode,
    host: RunningHost,
    alice: Session,
}

impl Room {
    async fn open() -> Self {
        Self::with_members_max(10).await
    }

    async fn with_members_max(members_max: u32) -> Self {
        let world = World::new();
        let node = RunningNode::start(&world);
        let host = RunningHost::with(&world, &node, &["alice", "bob"], |settings| {
            settings.settings.members_max = members_max;
        });
        let host = host.await.unwrap();
        let alice = Member::new(&world, "alice").raw_session(&node).await;
        Self { world, node, host, alice }
    }

    fn ticket(&self, name: &str) -> Ticket {
        self.world.ticket(self.host.conference(), name, &self.node)
    }

    /// Alice shows a ticket that admits her.
    async fn joined(&self) -> JoinAnswer {
        let request = join_request(&self.ticket("alice"), &self.host.identity);
        match self.alice.request(&Request::Join(request)).await.unwrap() {
            Answer::Joined(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Alice shows a ticket that does not.
    async fn refused(&self, ticket: &Ticket, signer: &Identity) -> Refusal {
        self.refuses(join_request(ticket, signer)).await
    }

    async fn refuses(&self, request: JoinRequest) -> Refusal {
        refusal(&self.alice, Request::Join(request)).await
    }
}

#[tokio::test]
async fn ticket_of_another_user_is_refused() {
    let room = Room::open().await;
    let refusal = room.refused(&room.ticket("bob"), &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    let parts = ["bob@example.org", "alice@example.org", "ask the host for a ticket of your own"];
    assert_says(&refusal.message, &parts);
    room.joined().await;
}

#[tokio::test]
async fn ticket_that_no_host_signed_is_refused() {
    let room = Room::open().await;
    let bob = room.world.device("bob");
    let refusal = room.refused(&room.ticket("alice"), &bob).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    let parts = ["signed by bob@example.org", "neither host nor co-host", "ask the host for one"];
    assert_says(&refusal.message, &parts);
}

#[tokio::test]
async fn ticket_for_another_conference_needs_that_ones_host() {
    let room = Room::open().await;
    let other = room.world.device("other");
    let host = RunningHost::open(&room.world, &room.node, &[]).await;
    let ticket = room.world.ticket(host.conference(), "alice", &room.node);
    let refusal = room.refused(&ticket, &other).await;
    assert_says(&refusal.message, &["other@example.org", "ask the host for one"]);
}

#[tokio::test]
async fn ticket_for_another_node_is_refused() {
    let room = Room::open().await;
    let elsewhere = room.world.mixer("elsewhere").node();
    let ticket = Ticket { node: elsewhere, ..room.ticket("alice") };
    let refusal = room.refused(&ticket, &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    let parts = [&elsewhere.to_string()[..], &room.node.id.to_string(), "connect there"];
    assert_says(&refusal.message, &parts);
}

#[tokio::test]
async fn expired_ticket_is_refused_and_was_good_before() {
    let room = Room::open().await;
    let ticket = room.ticket("alice");
    room.joined().await;
    room.world.pass(HOUR - Duration::from_secs(1));
    room.joined().await;
    room.world.pass(Duration::from_secs(1));
    let refusal = room.refused(&ticket, &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    let parts = ["expired on", &ticket.expires.to_string(), "ask the host for a new one"];
    assert_says(&refusal.message, &parts);
}

#[tokio::test]
async fn ticket_from_the_future_is_refused() {
    let room = Room::open().await;
    let issued = room.world.now().after(Duration::from_secs(61));
    let ticket = Ticket { issued, ..room.ticket("alice") };
    let refusal = room.refused(&ticket, &room.host.identity).await;
    assert_says(&refusal.message, &[&issued.to_string(), "set the clocks right"]);
}

#[tokio::test]
async fn conference_that_is_not_here_is_refused() {
    let room = Room::open().await;
    let conference = ConferenceId([7; 32]);
    let ticket = Ticket { conference, ..room.ticket("alice") };
    let refusal = room.refused(&ticket, &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::UnknownConference);
    let parts = [&conference.to_string()[..], "not held here", "ask its host for a new link"];
    assert_says(&refusal.message, &parts);
}

#[tokio::test]
async fn locked_conference_admits_nobody_but_its_host() {
    let room = Room::open().await;
    let conference = room.host.conference();
    let host = Member::of(&room.world, room.host.identity.clone(), [127, 0, 0, 1].into());
    let session = host.raw_session(&room.node).await;
    done(&session, Request::Lock { conference, locked: true }).await;
    let refusal = room.refused(&room.ticket("alice"), &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::Locked);
    assert_says(&refusal.message, &["locked the conference", "ask the host to unlock it"]);
    let own = join_request(&room.ticket("host"), &room.host.identity);
    let answer = session.request(&Request::Join(own)).await.unwrap();
    assert!(matches!(answer, Answer::Joined(_)), "{answer:?}");
    done(&session, Request::Lock { conference, locked: false }).await;
    room.joined().await;
}

#[tokio::test]
async fn full_conference_is_refused_until_somebody_leaves() {
    let room = Room::with_members_max(1).await;
    let leg = room.joined().await.leg;
    let refusal = room.refused(&room.ticket("alice"), &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::Full);
    assert_says(&refusal.message, &["full", "1 members", "ask its host to raise the limit"]);
    done(&room.alice, Request::Leave { leg }).await;
    room.joined().await;
}

#[tokio::test]
async fn session_with_too_many_legs_is_refused_another() {
    let room = Room::with_members_max(100).await;
    let mut newest = 0;
    for _ in 0..16 {
        newest = room.joined().await.leg_generation;
    }
    let refusal = room.refused(&room.ticket("alice"), &room.host.identity).await;
    assert_eq!((refusal.code, newest), (RefusalCode::Full, 16));
    assert_says(&refusal.message, &["all the legs that one session may have", "leave another"]);
}

#[tokio::test]
async fn trunk_is_refused() {
    let room = Room::open().await;
    let ticket = Ticket { role: LegRole::Trunk, ..room.ticket("alice") };
    let refusal = room.refused(&ticket, &room.host.identity).await;
    assert_eq!(refusal.code, RefusalCode::BadRequest);
    assert_says(&refusal.message, &["does not serve role Trunk", "join as a member"]);
}

#[tokio::test]
async fn other_role_than_the_tickets_is_refused() {
    let room = Room::open().await;
    let request = join_request(&room.ticket("alice"), &room.host.identity);
    let refusal = room.refuses(JoinRequest { role: LegRole::Standby, ..request }).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    assert_says(&refusal.message, &["for another role", "ask the host for one that fits"]);
}

#[tokio::test]
async fn suites_that_the_node_does_not_know_are_refused_and_the_first_known_is_taken() {
    let room = Room::open().await;
    let request = join_request(&room.ticket("alice"), &room.host.identity);
    let (known, suites) = (request.suites.clone(), vec![0xfff0, 0xfff1]);
    let refusal = room.refuses(JoinRequest { suites, ..request.clone() }).await;
    assert_eq!(refusal.code, RefusalCode::NoCommonSuite);
    assert_says(&refusal.message, &["SRTP suites", "offer one of", &known[0].to_string()]);
    let suites = [&[0xfff0], &known[..]].concat();
    let request = Request::Join(JoinRequest { suites, ..request });
    let Answer::Joined(answer) = room.alice.request(&request).await.unwrap() else {
        panic!("a known suite was refused");
    };
    assert_eq!(answer.suite.id(), known[0]);
}

#[tokio::test]
async fn ticket_whose_signature_does_not_fit_is_refused() {
    let room = Room::open().await;
    let mut bytes =
        serde_json::to_value(Signed::sign(&room.ticket("alice"), &room.host.identity).unwrap())
            .unwrap();
    let last = bytes["signature"].as_array_mut().unwrap().last_mut().unwrap();
    *last = (last.as_u64().unwrap() ^ 1).into();
    let ticket = serde_json::from_value(bytes).unwrap();
    let request = join_request(&room.ticket("alice"), &room.host.identity);
    let refusal = room.refuses(JoinRequest { ticket, ..request }).await;
    assert_eq!(refusal.code, RefusalCode::BadTicket);
    assert_says(&refusal.message, &["not signed by host@example.org", "ask for a new one"]);
}

#[tokio::test]
async fn user_who_is_not_listed_gets_no_ticket() {
    let room = Room::open().await;
    let carol = Member::new(&room.world, "carol");
    let error = carol.device.register(room.host.link(), LegRole::Member).await.unwrap_err();
    let JoinError::HostRefused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.code, RefusalCode::NotPermitted);
    let parts = ["the host refused", "carol@example.org", "not on the list", "ask its host"];
    assert_says(&error, &parts);
    assert_eq!(room.host.host().registrations(), (0, 1));
    Member::new(&room.world, "bob").session(&room.host).await;
    assert_eq!(room.host.host().registrations(), (1, 1));
}

#[tokio::test]
async fn trunk_without_mixer_mark_gets_no_ticket() {
    let room = Room::open().await;
    let bob = Member::new(&room.world, "bob");
    let error = bob.device.register(room.host.link(), LegRole::Trunk).await.unwrap_err();
    assert_says(&error, &["mixer mark", "join as a member"]);
}

#[tokio::test]
async fn node_that_is_asked_for_a_ticket_names_the_host() {
    let room = Room::open().await;
    let (conference, role) = (room.host.conference(), LegRole::Member);
    let refusal = refusal(&room.alice, Request::Register { conference, role }).await;
    assert_eq!(refusal.code, RefusalCode::UnknownRequest);
    assert_says(&refusal.message, &["this is a node", "ask the conference's host"]);
}
