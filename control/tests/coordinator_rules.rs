//! What the coordinator allows, remembers and tells; no node, no network.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use sabha_control::coordinator::{
    Coordinator, CoordinatorError, CoordinatorSettings, Created, Muting, RosterEntry, RosterNews,
    SessionId,
};
use sabha_core::admission::Admission;
use sabha_core::certificate::PeerCertificate;
use sabha_core::message::{
    ConferenceId, ConferenceOrigin, ConferenceSettings, Epoch, Mode, PermitList, RosterChange,
    Signed, Verified,
};
use sabha_core::{Identity, UnixTime, UserId};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use support::{FOUNDED, HOUR, World, assert_says, user};

/// A coordinator, and a host with a list for it.
struct Rig {
    world: World,
    host: Identity,
    list: PermitList,
    coordinator: Coordinator,
}

impl Rig {
    /// The host's conference is here already.
    fn new() -> Self {
        let mut rig = Self::empty(FOUNDED.before(MARGIN));
        let list = rig.list.clone();
        rig.create(&list).unwrap();
        rig
    }

    fn empty(node_since: UnixTime) -> Self {
        let world = World::new();
        let host = world.device("host");
        let list = permit_list(&host);
        let coordinator = Coordinator::new(CoordinatorSettings {
            node_since,
            mark_margin: MARGIN,
            conferences_max: 2,
            talkers_max: 8,
        });
        Self { world, host, list, coordinator }
    }

    fn id(&self) -> ConferenceId {
        self.list.conference()
    }

    fn verified(&self, list: &PermitList) -> Verified<PermitList> {
        let signed = Signed::sign(list, &self.host).unwrap();
        PermitList::verify(&signed, self.host.root(), list.issued).unwrap()
    }

    fn create(&mut self, list: &PermitList) -> Result<Created, CoordinatorError> {
        let list = self.verified(list);
        self.coordinator.create(self.host.certificate(), list)
    }

    fn peer(&self, name: &str) -> PeerCertificate {
        self.world.device(name).certificate().clone()
    }

    fn admission(&self, device: &Identity, role: LegRole) -> Admission {
        Admission {
            conference: self.id(),
            user: device.user().clone(),
            device: device.node(),
            role,
            epoch: Epoch::default(),
            expires: self.list.expires,
        }
    }

    fn admits(&self, device: &Identity) -> Result<Epoch, CoordinatorError> {
        self.coordinator.admit(&self.admission(device, LegRole::Member))
    }

    /// A leg with the index as its number, of `name`, on a session.
    fn joins(&mut self, name: &str, index: u16, session: u64) -> LegId {
        let entry = RosterEntry {
            user: user(name),
            device: self.host.node(),
            ssrc: Ssrc(u32::from(index)),
            session: SessionId(session),
        };
        let leg = LegId { shard: 0, index, generation: 1 };
        let id = self.id();
        self.coordinator.joined(id, leg, entry).unwrap();
        leg
    }

    /// Who is told what, of the one conference that is here.
    fn told(&mut self) -> Option<(Vec<RosterChange>, Vec<u64>)> {
        let news = self.news()?;
        Some((news.changes, news.sessions.into_iter().map(|session| session.0).collect()))
    }

    fn news(&mut self) -> Option<RosterNews> {
        let mut all = self.coordinator.poll_roster();
        assert!(all.len() <= 1);
        let (id, news) = all.pop()?;
        assert_eq!(id, self.id());
        Some(news)
    }

    fn is_muted(&self, name: &str) -> bool {
        self.coordinator.conference(self.id()).unwrap().is_muted(&user(name))
    }
}

fn permit_list(host: &Identity) -> PermitList {
    PermitList {
        origin: ConferenceOrigin::new(FOUNDED, host.node(), 20_270_115, 1).unwrap(),
        issued: FOUNDED,
        expires: FOUNDED.after(HOUR),
        users: [user("alice"), user("bob")].into(),
        cohosts: [user("chair")].into(),
        settings: ConferenceSettings { members_max: 1_000, ..ConferenceSettings::default() },
    }
}

fn change(name: &str, ssrc: u32, joined: bool) -> RosterChange {
    RosterChange { user: user(name), ssrc: Ssrc(ssrc), joined }
}

#[test]
fn newer_list_replaces_the_older_and_never_the_other_way() {
    let mut rig = Rig::new();
    let at = |secs| FOUNDED.after(Duration::from_secs(secs));
    let users = |rig: &Rig| rig.coordinator.conference(rig.id()).unwrap().list().users.clone();
    let older = PermitList { users: [user("old")].into(), issued: at(5), ..rig.list.clone() };
    let newer = PermitList { users: [user("new")].into(), issued: at(6), ..rig.list.clone() };
    let epoch = Epoch { counter: 1, rank: 0 };
    let id = rig.id();
    for list in [&older, &newer, &older] {
        assert_eq!(rig.create(list), Ok(Created::Known(id, epoch)));
    }
    assert_eq!(users(&rig), [user("new")].into());
    rig.create(&rig.list.clone()).unwrap();
    assert_eq!(users(&rig), [user("new")].into());
}

#[test]
fn list_that_is_replaced_keeps_roster_lock_and_mutes() {
    let mut rig = Rig::new();
    let host = rig.host.certificate().clone();
    let id = rig.id();
    let leg = rig.joins("alice", 1, 1);
    rig.coordinator.lock(&host, id, true).unwrap();
    rig.coordinator.mute(&host, id, &user("alice"), true).unwrap();
    let newer = PermitList { issued: FOUNDED.after(HOUR / 2), ..rig.list.clone() };
    rig.create(&newer).unwrap();
    assert!(rig.coordinator.conference(id).unwrap().roster().contains_key(&leg));
    assert_eq!(rig.admits(&rig.world.device("bob")), Err(CoordinatorError::Locked));
    assert!(rig.is_muted("alice"));
}

#[test]
fn node_whose_mark_is_younger_than_the_conference_may_not_own_it() {
    let younger = FOUNDED.before(MARGIN - Duration::from_secs(1));
    let mut rig = Rig::empty(younger);
    let list = rig.list.clone();
    let refused = rig.create(&list).unwrap_err();
    assert_eq!(
        refused,
        CoordinatorError::TooYoung { since: younger, margin: MARGIN, created: FOUNDED }
    );
    let times = [younger.to_string(), FOUNDED.to_string()];
    assert_says(&refused, &[&times[0], &times[1], "choose another node"]);
    let mut rig = Rig::empty(FOUNDED.before(MARGIN));
    let list = rig.list.clone();
    assert!(matches!(rig.create(&list), Ok(Created::New(..))));
}

#[test]
fn list_is_taken_from_its_own_host_only() {
    let mut rig = Rig::empty(FOUNDED.before(MARGIN));
    let list = rig.verified(&rig.list);
    let other = rig.peer("host");
    let refused = rig.coordinator.create(&other, list).unwrap_err();
    assert_eq!(refused, CoordinatorError::NotItsHost(user("host")), "same user, other device");
}

#[test]
fn what_the_node_cannot_carry_is_refused() {
    let mut rig = Rig::empty(FOUNDED.before(MARGIN));
    let with = |rig: &Rig, settings| PermitList { settings, ..rig.list.clone() };
    for asked in [0, 9, u16::MAX] {
        let settings = ConferenceSettings { talkers_max: asked, ..rig.list.settings.clone() };
        let list = with(&rig, settings);
        let refused = CoordinatorError::Talkers { asked, node_max: 8 };
        assert_eq!(rig.create(&list), Err(refused));
    }
    let settings =
        ConferenceSettings { mode: Mode::Other("hologram".into()), ..rig.list.settings.clone() };
    let list = with(&rig, settings);
    assert_eq!(rig.create(&list), Err(CoordinatorError::Mode("hologram".into())));
    for _ in 0..2 {
        let list = permit_list(&rig.host);
        assert!(matches!(rig.create(&list), Ok(Created::New(..))));
    }
    let list = rig.list.clone();
    assert_eq!(rig.create(&list), Err(CoordinatorError::Full { conferences_max: 2 }));
}

#[test]
fn locked_conference_admits_its_hosts_device_only() {
    let mut rig = Rig::new();
    let (host, id) = (rig.host.certificate().clone(), rig.id());
    let (alice, second) = (rig.world.device("alice"), rig.world.device("host"));
    rig.coordinator.lock(&host, id, true).unwrap();
    assert_eq!(rig.admits(&alice), Err(CoordinatorError::Locked));
    assert_eq!(rig.admits(&second), Err(CoordinatorError::Locked));
    assert!(rig.admits(&rig.host).is_ok());
    rig.coordinator.lock(&host, id, false).unwrap();
    assert!(rig.admits(&alice).is_ok());
}

#[test]
fn only_host_and_cohosts_lock_and_end() {
    let mut rig = Rig::new();
    let (id, alice, chair) = (rig.id(), rig.peer("alice"), rig.peer("chair"));
    let refused = CoordinatorError::NotHost(user("alice"));
    assert_eq!(rig.coordinator.lock(&alice, id, true), Err(refused.clone()));
    assert_eq!(rig.coordinator.end(&alice, id).err(), Some(refused));
    rig.coordinator.lock(&chair, id, true).unwrap();
    rig.coordinator.end(&chair, id).unwrap();
    assert_eq!(rig.coordinator.end(&chair, id).err(), Some(CoordinatorError::Unknown(id)));
}

#[test]
fn members_max_counts_legs_and_trunks_are_not_served() {
    let mut rig = Rig::empty(FOUNDED.before(MARGIN));
    rig.list.settings.members_max = 1;
    let list = rig.list.clone();
    rig.create(&list).unwrap();
    let alice = rig.world.device("alice");
    let trunk = rig.admission(&alice, LegRole::Trunk);
    let refused = rig.coordinator.admit(&trunk);
    assert_eq!(refused, Err(CoordinatorError::Role(LegRole::Trunk)));
    assert!(rig.admits(&alice).is_ok());
    let leg = rig.joins("alice", 1, 1);
    let refused = CoordinatorError::MembersMax { members_max: 1 };
    assert_eq!(rig.admits(&alice), Err(refused));
    rig.coordinator.left(leg).unwrap();
    assert!(rig.admits(&alice).is_ok());
}

#[test]
fn what_the_host_muted_only_a_host_unmutes() {
    let mut rig = Rig::new();
    let (id, alice) = (rig.id(), rig.peer("alice"));
    let (host, chair) = (rig.host.certificate().clone(), rig.peer("chair"));
    let target = user("alice");
    let legs = [rig.joins("alice", 1, 1), rig.joins("alice", 2, 2)];
    rig.joins("bob", 3, 3);
    let mut mute =
        |peer: &PeerCertificate, user: &UserId, muted| rig.coordinator.mute(peer, id, user, muted);
    let muting = |muted| Muting { legs: legs.to_vec(), muted };
    assert_eq!(mute(&alice, &target, true), Ok(muting(true)), "her legs, and nobody else's");
    assert_eq!(mute(&alice, &target, false), Ok(muting(false)));
    mute(&host, &target, true).unwrap();
    mute(&alice, &target, true).unwrap();
    let refused = CoordinatorError::MutedByHost(target.clone());
    assert_eq!(mute(&alice, &target, false), Err(refused));
    assert_eq!(mute(&chair, &target, false), Ok(muting(true)), "she muted herself too");
    assert_eq!(mute(&alice, &target, false), Ok(muting(false)));
    let refused = CoordinatorError::NotHost(target.clone());
    assert_eq!(mute(&alice, &user("bob"), true), Err(refused));
    assert!(!rig.is_muted("alice") && !rig.is_muted("bob"));
}

#[test]
fn mute_holds_for_legs_that_come_later_and_strangers_cannot_set_one() {
    let mut rig = Rig::new();
    let (id, host, stranger) = (rig.id(), rig.host.certificate().clone(), rig.peer("stranger"));
    assert_eq!(rig.coordinator.mute(&host, id, &user("alice"), true).unwrap().legs, []);
    rig.joins("alice", 1, 1);
    assert!(rig.is_muted("alice"));
    let refused = CoordinatorError::NotHost(user("stranger"));
    assert_eq!(rig.coordinator.mute(&stranger, id, &user("stranger"), true), Err(refused));
    assert!(!rig.is_muted("stranger"));
}

#[test]
fn conference_is_over_at_its_time_and_not_before() {
    let mut rig = Rig::new();
    let (id, end) = (rig.id(), rig.list.expires);
    assert_eq!(rig.coordinator.expired(end.before(Duration::from_secs(1))), []);
    assert_eq!(rig.coordinator.expired(end), [id]);
    let leg = rig.joins("alice", 1, 7);
    let over = rig.coordinator.remove(id).unwrap();
    assert_eq!(over.sessions(), [SessionId(7)].into());
    assert_eq!(rig.coordinator.expired(end), []);
    assert_eq!(rig.coordinator.left(leg), None, "its legs went with it");
    assert_eq!(rig.admits(&rig.host), Err(CoordinatorError::Unknown(id)));
    assert!(rig.coordinator.issuer(id).is_err() && rig.coordinator.remove(id).is_none());
}

#[test]
fn newer_list_moves_the_end_and_an_older_one_does_not() {
    let mut rig = Rig::new();
    let (id, end) = (rig.id(), rig.list.expires);
    let second = Duration::from_secs(1);
    let newer = PermitList {
        issued: rig.list.issued.after(second),
        expires: end.after(HOUR),
        ..rig.list.clone()
    };
    rig.create(&newer).unwrap();
    assert_eq!(rig.coordinator.expired(end), []);
    assert_eq!(rig.coordinator.expired(end.after(HOUR)), [id]);
    let older = rig.list.clone();
    rig.create(&older).unwrap();
    assert_eq!(rig.coordinator.expired(end), [], "the newer list holds");
    let shorter = PermitList { issued: newer.issued.after(second), expires: end, ..newer };
    rig.create(&shorter).unwrap();
    assert_eq!(rig.coordinator.expired(end), [id], "each end is there once");
}

#[test]
fn conference_that_went_with_news_untold_is_told_of_no_more() {
    let mut rig = Rig::new();
    rig.joins("alice", 1, 1);
    rig.coordinator.remove(rig.list.conference()).unwrap();
    assert_eq!(rig.coordinator.poll_roster(), []);
}

#[test]
fn roster_is_told_once_and_in_full_to_newcomers() {
    let mut rig = Rig::new();
    assert_eq!(rig.told(), None);
    let alice = rig.joins("alice", 1, 1);
    assert_eq!(rig.told(), Some((vec![change("alice", 1, true)], vec![1])));
    assert_eq!(rig.told(), None, "no news");
    rig.joins("bob", 2, 2);
    let everybody = vec![change("alice", 1, true), change("bob", 2, true)];
    assert_eq!(rig.told(), Some((everybody, vec![1, 2])));
    // Bob's second leg is news, but his session knows the others.
    rig.joins("bob", 3, 2);
    assert_eq!(rig.told(), Some((vec![change("bob", 3, true)], vec![1, 2])));
    rig.coordinator.left(alice).unwrap();
    assert_eq!(rig.told(), Some((vec![change("alice", 1, false)], vec![2])));
    // Whoever left is told everything again on coming back.
    rig.joins("alice", 1, 1);
    let news = rig.news().unwrap();
    assert_eq!((news.complete, news.changes.len()), (true, 3));
}

#[test]
fn who_left_between_two_tellings_is_not_in_the_roster_told_anew() {
    let mut rig = Rig::new();
    let alice = rig.joins("alice", 1, 1);
    rig.joins("bob", 2, 2);
    rig.told();
    rig.coordinator.left(alice).unwrap();
    assert_eq!(rig.coordinator.left(alice), None, "a leg leaves once");
    // Her slot, and with it her source, may be another's at once.
    rig.joins("carol", 1, 3);
    let news = rig.news().unwrap();
    assert!(news.complete);
    assert!(news.changes.contains(&change("carol", 1, true)));
    assert!(news.changes.contains(&change("bob", 2, true)));
    assert_eq!((news.changes.len(), news.sessions.len()), (2, 2));
}

#[test]
fn large_roster_is_told_to_nobody_until_it_is_small_again() {
    let mut rig = Rig::new();
    for index in 0..256 {
        rig.joins("alice", index, index.into());
    }
    assert_eq!(rig.told().map(|(changes, to)| (changes.len(), to.len())), Some((256, 256)));
    let last = rig.joins("alice", 256, 256);
    assert_eq!(rig.told(), None);
    rig.coordinator.left(last).unwrap();
    let news = rig.news().unwrap();
    assert!(news.complete, "whoever went meanwhile is forgotten");
    assert_eq!((news.changes.len(), news.sessions.len()), (256, 256));
}

/// How much older than a conference a mixer mark must be.
const MARGIN: Duration = Duration::from_secs(60);
