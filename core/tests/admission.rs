//! Who gets a ticket, and whom a ticket admits.

#![allow(clippy::unwrap_used)]

mod common;

use common::{NOW, TestCa, later, user};
use sabha_core::{
    Identity, UnixTime,
    admission::{AdmissionError, Ownership, RegisterError, TicketIssuer, register, verify_ticket},
    message::{
        ConferenceId, ConferenceOrigin, ConferenceSettings, Epoch, PermitError, PermitList, Signed,
        SignedError, Ticket, Verified,
    },
};
use sabha_media::leg::LegRole;

struct Room {
    ca: TestCa,
    host: Identity,
    node: Identity,
    list: Verified<PermitList>,
    ownership: Ownership,
}

impl Room {
    fn new() -> Self {
        let ca = TestCa::new();
        let (host, node) = (ca.device("host"), ca.mixer("node"));
        let list = permit_list(&host);
        let signed = Signed::sign(&list, &host).unwrap();
        let list = PermitList::verify(&signed, ca.root(), NOW).unwrap();
        let addresses = vec!["192.0.2.1:4000".parse().unwrap()];
        let ownership = Ownership { node: node.node(), addresses, epoch: Epoch::default() };
        Self { ca, host, node, list, ownership }
    }

    fn ticket(&self, by: &Identity, member: &Identity) -> Result<Signed<Ticket>, RegisterError> {
        let what = (self.list.conference(), LegRole::Member);
        register(NOW, by, &self.list, &self.ownership, what, member.certificate())
    }

    fn admit(&self, ticket: &Signed<Ticket>, member: &Identity) -> Result<(), AdmissionError> {
        self.admit_at(NOW, ticket, member)
    }

    fn admit_at(
        &self,
        now: UnixTime,
        ticket: &Signed<Ticket>,
        member: &Identity,
    ) -> Result<(), AdmissionError> {
        let (root, node) = (self.ca.root(), self.node.node());
        let peer = member.certificate();
        let admission =
            verify_ticket(now, root, TicketIssuer::List(&self.list), node, ticket, peer)?;
        assert_eq!((&admission.user, admission.device), (member.user(), member.node()));
        assert_eq!(admission.conference, self.list.conference());
        Ok(())
    }
}

fn permit_list(host: &Identity) -> PermitList {
    PermitList {
        origin: ConferenceOrigin::new(NOW, host.node(), 20_270_115, 1).unwrap(),
        issued: NOW,
        expires: later(7200),
        users: [user("alice"), user("bob")].into(),
        cohosts: [user("cohost")].into(),
        settings: ConferenceSettings::default(),
    }
}

#[test]
fn listed_user_gets_a_ticket_that_admits_each_of_their_devices() {
    let room = Room::new();
    let (phone, laptop) = (room.ca.device("alice"), room.ca.device("alice"));
    let ticket = room.ticket(&room.host, &phone).unwrap();
    room.admit(&ticket, &phone).unwrap();
    room.admit(&ticket, &laptop).unwrap();
}

#[test]
fn user_who_is_not_listed_is_refused_by_the_host() {
    let room = Room::new();
    let refusal = room.ticket(&room.host, &room.ca.device("mallory")).unwrap_err();
    assert_eq!(refusal, RegisterError::NotPermitted(user("mallory")));
    assert!(refusal.to_string().contains("ask its host"));
}

#[test]
fn host_and_cohost_need_not_be_listed() {
    let room = Room::new();
    for member in [room.host.clone(), room.ca.device("cohost")] {
        room.admit(&room.ticket(&room.host, &member).unwrap(), &member).unwrap();
    }
}

#[test]
fn other_conference_or_late_registration_is_refused() {
    let room = Room::new();
    let alice = room.ca.device("alice");
    let other = ConferenceId([9; 32]);
    let ask = |now, conference| {
        let what = (conference, LegRole::Member);
        register(now, &room.host, &room.list, &room.ownership, what, alice.certificate())
            .unwrap_err()
    };
    assert_eq!(ask(NOW, other), RegisterError::UnknownConference(other));
    assert_eq!(ask(later(7200), room.list.conference()), RegisterError::Ended(later(7200)));
}

#[test]
fn trunk_needs_the_mixer_mark() {
    let room = Room::new();
    let what = (room.list.conference(), LegRole::Trunk);
    let ask = |device: &Identity| {
        register(NOW, &room.host, &room.list, &room.ownership, what, device.certificate())
    };
    assert_eq!(ask(&room.ca.device("alice")).unwrap_err(), RegisterError::NoMixer);
    ask(&room.ca.mixer("alice")).unwrap();
    let refusal = ask(&room.ca.mixer("mallory")).unwrap_err();
    assert_eq!(refusal, RegisterError::NotPermitted(user("mallory")));
}

#[test]
fn ticket_of_another_user_is_refused() {
    let room = Room::new();
    let (alice, bob) = (room.ca.device("alice"), room.ca.device("bob"));
    let ticket = room.ticket(&room.host, &alice).unwrap();
    let refusal = room.admit(&ticket, &bob).unwrap_err();
    assert_eq!(refusal, AdmissionError::User { ticket: user("alice"), peer: user("bob") });
}

#[test]
fn ticket_of_another_conference_is_refused() {
    let (room, alice) = (Room::new(), user("alice"));
    let device = room.ca.device("alice");
    let mut list = room.list.clone().into_value();
    list.origin.sequence += 1;
    let what = (list.conference(), LegRole::Member);
    let ticket =
        register(NOW, &room.host, &list, &room.ownership, what, device.certificate()).unwrap();
    let refusal = room.admit(&ticket, &device).unwrap_err();
    assert!(matches!(refusal, AdmissionError::Conference { .. }), "{alice}: {refusal}");
}

#[test]
fn ticket_by_another_host_is_refused_and_by_a_cohost_is_not() {
    let room = Room::new();
    let (alice, mallory) = (room.ca.device("alice"), room.ca.device("mallory"));
    let refusal = room.admit(&room.ticket(&mallory, &alice).unwrap(), &alice).unwrap_err();
    assert_eq!(refusal, AdmissionError::Issuer(user("mallory")));
    let cohost = room.ca.device("cohost");
    let ticket = room.ticket(&cohost, &alice).unwrap();
    room.admit(&ticket, &alice).unwrap();
    let (conference, host) = (room.list.conference(), room.host.node());
    let issuer = TicketIssuer::Host { conference, host };
    let (root, node) = (room.ca.root(), room.node.node());
    let refusal = verify_ticket(NOW, root, issuer, node, &ticket, alice.certificate());
    assert_eq!(refusal.unwrap_err(), AdmissionError::Issuer(user("cohost")));
}

#[test]
fn members_own_signature_is_no_ticket() {
    let room = Room::new();
    let alice = room.ca.device("alice");
    let refusal = room.admit(&room.ticket(&alice, &alice).unwrap(), &alice).unwrap_err();
    assert_eq!(refusal, AdmissionError::Issuer(user("alice")));
}

#[test]
fn ticket_for_another_node_is_refused() {
    let room = Room::new();
    let alice = room.ca.device("alice");
    let ticket = room.ticket(&room.host, &alice).unwrap();
    let here = room.ca.mixer("node").node();
    let issuer = TicketIssuer::List(&room.list);
    let refusal = verify_ticket(NOW, room.ca.root(), issuer, here, &ticket, alice.certificate());
    let expected = AdmissionError::Node { ticket: room.node.node(), here };
    assert_eq!(refusal.unwrap_err(), expected);
}

#[test]
fn ticket_outside_its_time_is_refused() {
    let room = Room::new();
    let alice = room.ca.device("alice");
    let ticket = room.ticket(&room.host, &alice).unwrap();
    room.admit_at(later(7199), &ticket, &alice).unwrap();
    let refusal = room.admit_at(later(7200), &ticket, &alice).unwrap_err();
    assert_eq!(refusal, AdmissionError::Expired(later(7200)));
    let refusal = room.admit_at(common::earlier(61), &ticket, &alice).unwrap_err();
    assert_eq!(refusal, AdmissionError::Future(NOW));
}

#[test]
fn ticket_by_a_host_of_another_ca_is_refused() {
    let (room, other) = (Room::new(), TestCa::new());
    let alice = room.ca.device("alice");
    let ticket = room.ticket(&other.device("host"), &alice).unwrap();
    let refusal = room.admit(&ticket, &alice).unwrap_err();
    assert!(matches!(refusal, AdmissionError::Signed(SignedError::Chain { .. })), "{refusal}");
}

#[test]
fn ticket_by_a_host_whose_certificate_expired_is_refused() {
    let room = Room::new();
    let alice = room.ca.device("alice");
    let ticket = room.ticket(&room.host, &alice).unwrap();
    let refusal = room.admit_at(later(183 * 86_400), &ticket, &alice).unwrap_err();
    assert!(refusal.to_string().contains("not valid"), "{refusal}");
}

#[test]
fn permit_list_is_accepted_from_its_own_host_only() {
    let ca = TestCa::new();
    let (host, mallory) = (ca.device("host"), ca.device("mallory"));
    let list = permit_list(&host);
    let verify = |signer: &Identity, now| {
        PermitList::verify(&Signed::sign(&list, signer).unwrap(), ca.root(), now)
    };
    assert_eq!(verify(&host, NOW).unwrap().conference(), list.conference());
    let refusal = verify(&mallory, NOW).unwrap_err();
    assert!(matches!(refusal, PermitError::NotHost { .. }), "{refusal}");
    let second = ca.device("host");
    let refusal = verify(&second, NOW).unwrap_err();
    assert!(matches!(refusal, PermitError::NotHost { .. }), "another device: {refusal}");
    assert!(matches!(verify(&host, later(7200)), Err(PermitError::Expired { .. })));
    assert!(matches!(verify(&host, common::earlier(61)), Err(PermitError::Future(_))));
}
