//! Which conferences this node carries, who is in them, and who may do what.
//!
//! Pure: requests were authenticated, time is an argument, and what is to be done is returned.
//! Knows no packet, no socket and no task.

mod conference;
mod error;
mod mode;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use conference::{Conference, Muting, RosterEntry, RosterNews, SessionId};
pub use error::CoordinatorError;
pub use mode::Carriage;

use sabha_core::admission::{Admission, TicketIssuer};
use sabha_core::certificate::PeerCertificate;
use sabha_core::message::{ConferenceId, Epoch, PermitList, Verified};
use sabha_core::{UnixTime, UserId};
use sabha_media::leg::LegId;

/// What this node is and how much it takes.
#[derive(Clone, Debug)]
pub struct CoordinatorSettings {
    /// This node's own mixer mark: it owns only conferences created later.
    pub node_since: UnixTime,
    /// How much older than a conference the mark must be: the network's margin for clocks that
    /// differ.
    pub mark_margin: Duration,
    /// Conferences that it carries.
    pub conferences_max: usize,
    /// The most talkers in any mix; hosts may ask for fewer.
    pub talkers_max: u16,
}

/// All conferences of a node.
pub struct Coordinator {
    settings: CoordinatorSettings,
    conferences: BTreeMap<ConferenceId, Conference>,
    /// The conference that each leg is in.
    legs: BTreeMap<LegId, ConferenceId>,
    /// Conferences whose roster changed since it was told.
    changed: BTreeSet<ConferenceId>,
    /// When each conference is over.
    ends: BTreeSet<(UnixTime, ConferenceId)>,
}

/// What a request to create a conference comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is to be placed on a shard.
    New(ConferenceId, Epoch),
    /// It was here already; its list is now the newer of the two.
    Known(ConferenceId, Epoch),
}

impl Coordinator {
    /// Begins without conferences.
    pub fn new(settings: CoordinatorSettings) -> Self {
        Self {
            settings,
            conferences: BTreeMap::new(),
            legs: BTreeMap::new(),
            changed: BTreeSet::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Takes over a conference from its host, or a newer list of one that is here.
    ///
    /// # Errors
    /// `CoordinatorError` says why not.
    pub fn create(
        &mut self,
        peer: &PeerCertificate,
        list: Verified<PermitList>,
    ) -> Result<Created, CoordinatorError> {
        if peer.node != list.origin.host {
            return Err(CoordinatorError::NotItsHost(peer.user.clone()));
        }
        let carriage = Carriage::of(&list)?;
        let (since, margin) = (self.settings.node_since, self.settings.mark_margin);
        let created = list.origin.created;
        if since.after(margin) > created {
            return Err(CoordinatorError::TooYoung { since, margin, created });
        }
        let talkers_max = list.settings.talkers_max;
        if talkers_max == 0 || talkers_max > self.settings.talkers_max {
            let node_max = self.settings.talkers_max;
            return Err(CoordinatorError::Talkers { asked: talkers_max, node_max });
        }
        let id = list.conference();
        if let Some(conference) = self.conferences.get_mut(&id) {
            let ends = conference.list().expires;
            conference.replace_list(list);
            self.ends.remove(&(ends, id));
            self.ends.insert((conference.list().expires, id));
            return Ok(Created::Known(id, conference.epoch()));
        }
        let conferences_max = self.settings.conferences_max;
        if self.conferences.len() >= conferences_max {
            return Err(CoordinatorError::Full { conferences_max });
        }
        let conference = Conference::new(list, carriage);
        let epoch = conference.epoch();
        self.ends.insert((conference.list().expires, id));
        self.conferences.insert(id, conference);
        Ok(Created::New(id, epoch))
    }

    /// Returns whose tickets count for a conference.
    ///
    /// # Errors
    /// `Unknown` if it is not here.
    pub fn issuer(&self, id: ConferenceId) -> Result<TicketIssuer<'_>, CoordinatorError> {
        Ok(TicketIssuer::List(self.conference(id)?.list()))
    }

    /// Returns a conference.
    ///
    /// # Errors
    /// `Unknown` if it is not here.
    pub fn conference(&self, id: ConferenceId) -> Result<&Conference, CoordinatorError> {
        self.conferences.get(&id).ok_or(CoordinatorError::Unknown(id))
    }

    /// Checks whether a ticket's bearer may have another leg now.
    ///
    /// # Errors
    /// `CoordinatorError` says why not.
    pub fn admit(&self, admission: &Admission) -> Result<Epoch, CoordinatorError> {
        let conference = self.conference(admission.conference)?;
        conference.admit(admission)?;
        Ok(conference.epoch())
    }

    /// Enters a new leg in the roster.
    ///
    /// # Errors
    /// `Unknown` if the conference ended meanwhile.
    pub fn joined(
        &mut self,
        id: ConferenceId,
        leg: LegId,
        entry: RosterEntry,
    ) -> Result<(), CoordinatorError> {
        self.conference_mut(id)?.joined(leg, entry);
        self.legs.insert(leg, id);
        self.changed.insert(id);
        Ok(())
    }

    /// Removes a leg from its roster and returns its entry; `None` if there is no such leg.
    pub fn left(&mut self, leg: LegId) -> Option<RosterEntry> {
        let id = self.legs.remove(&leg)?;
        self.changed.insert(id);
        self.conferences.get_mut(&id)?.left(leg)
    }

    /// Mutes a user or lets them speak, if `peer` may; returns what that comes to.
    ///
    /// # Errors
    /// `NotHost` if neither host nor a listed user for themselves asks, `Unknown` if the conference is not here.
    pub fn mute(
        &mut self,
        peer: &PeerCertificate,
        id: ConferenceId,
        user: &UserId,
        muted: bool,
    ) -> Result<Muting, CoordinatorError> {
        let conference = self.conference_mut(id)?;
        let is_host = conference.is_host(peer);
        let is_self = peer.user == *user && conference.list().users.contains(user);
        if !is_host && !is_self {
            return Err(CoordinatorError::NotHost(peer.user.clone()));
        }
        conference.set_muted(user, muted, is_host)
    }

    /// Lets nobody else in, or lets them in again, if `peer` is host.
    ///
    /// # Errors
    /// `NotHost`, or `Unknown` if the conference is not here.
    pub fn lock(
        &mut self,
        peer: &PeerCertificate,
        id: ConferenceId,
        locked: bool,
    ) -> Result<(), CoordinatorError> {
        let conference = self.conference_mut(id)?;
        if !conference.is_host(peer) {
            return Err(CoordinatorError::NotHost(peer.user.clone()));
        }
        conference.set_locked(locked);
        Ok(())
    }

    /// Ends a conference if `peer` is host, and returns it.
    ///
    /// # Errors
    /// `NotHost`, or `Unknown` if the conference is not here.
    pub fn end(
        &mut self,
        peer: &PeerCertificate,
        id: ConferenceId,
    ) -> Result<Conference, CoordinatorError> {
        if !self.conference(id)?.is_host(peer) {
            return Err(CoordinatorError::NotHost(peer.user.clone()));
        }
        self.remove(id).ok_or(CoordinatorError::Unknown(id))
    }

    /// Removes a conference that could not be placed or whose time is over.
    pub fn remove(&mut self, id: ConferenceId) -> Option<Conference> {
        let conference = self.conferences.remove(&id)?;
        self.changed.remove(&id);
        self.ends.remove(&(conference.list().expires, id));
        for leg in conference.roster().keys() {
            self.legs.remove(leg);
        }
        Some(conference)
    }

    /// Returns the conferences whose time is over; takes no longer if there are many others.
    pub fn expired(&self, now: UnixTime) -> Vec<ConferenceId> {
        let over = self.ends.iter().take_while(|(ends, _)| *ends <= now);
        over.map(|(_, id)| *id).collect()
    }

    /// Returns the changes of each roster since the last call, with the sessions to be told; takes
    /// no longer if there are many others.
    pub fn poll_roster(&mut self) -> Vec<(ConferenceId, RosterNews)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let news = |id| Some((id, self.conferences.get_mut(&id)?.poll_roster()?));
        changed.filter_map(news).collect()
    }

    fn conference_mut(&mut self, id: ConferenceId) -> Result<&mut Conference, CoordinatorError> {
        self.conferences.get_mut(&id).ok_or(CoordinatorError::Unknown(id))
    }
}
