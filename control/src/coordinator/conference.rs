//! One conference's list, roster and rules.

use std::collections::{BTreeMap, BTreeSet};

use sabha_core::admission::Admission;
use sabha_core::certificate::PeerCertificate;
use sabha_core::message::{Epoch, PermitList, RosterChange, Verified};
use sabha_core::{NodeId, UserId};
use sabha_media::leg::{LegId, LegRole, Ssrc};

use super::{Carriage, CoordinatorError};

/// Names a signalling session of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One leg in the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// Who.
    pub user: UserId,
    /// With which device.
    pub device: NodeId,
    /// The SSRC that others see as CSRC.
    pub ssrc: Ssrc,
    /// The session that the leg was made on.
    pub session: SessionId,
}

/// What a request to mute or unmute comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Muting {
    /// The user's legs.
    pub legs: Vec<LegId>,
    /// Whether they are muted now, by whomever.
    pub muted: bool,
}

/// What members are to be told of their roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterNews {
    /// Whether the changes are the whole roster.
    pub complete: bool,
    /// Who came or went.
    pub changes: Vec<RosterChange>,
    /// Who is to be told.
    pub sessions: Vec<SessionId>,
}

/// One conference.
pub struct Conference {
    list: Verified<PermitList>,
    carriage: Carriage,
    epoch: Epoch,
    roster: BTreeMap<LegId, RosterEntry>,
    locked: bool,
    /// Users whom the host muted; they cannot unmute themselves.
    muted_by_host: BTreeSet<UserId>,
    muted: BTreeSet<UserId>,
    changes: Vec<RosterChange>,
    /// Sessions that have the whole roster up to `changes`.
    told: BTreeSet<SessionId>,
}

impl Conference {
    pub(super) fn new(list: Verified<PermitList>, carriage: Carriage) -> Self {
        Self {
            list,
            carriage,
            epoch: Epoch { counter: 1, rank: 0 },
            roster: BTreeMap::new(),
            locked: false,
            muted_by_host: BTreeSet::new(),
            muted: BTreeSet::new(),
            changes: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    /// Returns the host's list.
    pub fn list(&self) -> &Verified<PermitList> {
        &self.list
    }

    /// Returns how it is carried.
    pub fn carriage(&self) -> Carriage {
        self.carriage
    }

    /// Returns the present epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the legs.
    pub fn roster(&self) -> &BTreeMap<LegId, RosterEntry> {
        &self.roster
    }

    /// Returns whether a user is muted, by whomever.
    pub fn is_muted(&self, user: &UserId) -> bool {
        self.muted.contains(user) || self.muted_by_host.contains(user)
    }

    /// Returns the sessions of all legs, each once.
    pub fn sessions(&self) -> BTreeSet<SessionId> {
        self.roster.values().map(|entry| entry.session).collect()
    }

    pub(super) fn replace_list(&mut self, list: Verified<PermitList>) {
        if list.issued >= self.list.issued {
            self.list = list;
        }
    }

    pub(super) fn is_host(&self, peer: &PeerCertificate) -> bool {
        peer.node == self.list.origin.host || self.list.cohosts.contains(&peer.user)
    }

    pub(super) fn admit(&self, admission: &Admission) -> Result<(), CoordinatorError> {
        if admission.role == LegRole::Trunk {
            return Err(CoordinatorError::Role(admission.role));
        }
        let is_host = admission.device == self.list.origin.host;
        if self.locked && !is_host {
            return Err(CoordinatorError::Locked);
        }
        let members_max = self.list.settings.members_max;
        if self.roster.len() >= members_max as usize {
            return Err(CoordinatorError::MembersMax { members_max });
        }
        Ok(())
    }

    pub(super) fn joined(&mut self, leg: LegId, entry: RosterEntry) {
        let (user, ssrc) = (entry.user.clone(), entry.ssrc);
        self.changes.push(RosterChange { user, ssrc, joined: true });
        self.roster.insert(leg, entry);
    }

    pub(super) fn left(&mut self, leg: LegId) -> Option<RosterEntry> {
        let entry = self.roster.remove(&leg)?;
        let (user, ssrc) = (entry.user.clone(), entry.ssrc);
        self.changes.push(RosterChange { user, ssrc, joined: false });
        Some(entry)
    }

    /// Mutes or unmutes. What the host muted only a host unmutes, and nobody opens a microphone
    /// that its user muted.
    pub(super) fn set_muted(
        &mut self,
        user: &UserId,
        muted: bool,
        by_host: bool,
    ) -> Result<Muting, CoordinatorError> {
        if !muted && !by_host && self.muted_by_host.contains(user) {
            return Err(CoordinatorError::MutedByHost(user.clone()));
        }
        match (muted, by_host) {
            (true, true) => self.muted_by_host.insert(user.clone()),
            (true, false) => self.muted.insert(user.clone()),
            (false, true) => self.muted_by_host.remove(user),
            (false, false) => self.muted.remove(user),
        };
        let legs = self.roster.iter().filter(|(_, entry)| entry.user == *user);
        Ok(Muting { legs: legs.map(|(leg, _)| *leg).collect(), muted: self.is_muted(user) })
    }

    pub(super) fn set_locked(&mut self, locked: bool) {
        self.locked = locked;
    }

    /// Takes the changes since the last call, and who is to be told them. In a conference of more
    /// than `ROSTER_MEMBERS_MAX` nobody is: telling each of each would be quadratic.
    pub(super) fn poll_roster(&mut self) -> Option<RosterNews> {
        if self.changes.is_empty() {
            return None;
        }
        let changes = std::mem::take(&mut self.changes);
        if self.roster.len() > ROSTER_MEMBERS_MAX {
            self.told.clear();
            return None;
        }
        let sessions = self.sessions();
        let is_new = sessions.iter().any(|session| !self.told.contains(session));
        self.told = sessions.clone();
        let changes = if is_new { self.everybody() } else { changes };
        Some(RosterNews { complete: is_new, changes, sessions: sessions.into_iter().collect() })
    }

    /// Returns everybody who is here: a newcomer needs all, and others are told anew.
    fn everybody(&self) -> Vec<RosterChange> {
        let here = self.roster.values().map(|entry| RosterChange {
            user: entry.user.clone(),
            ssrc: entry.ssrc,
            joined: true,
        });
        here.collect()
    }
}

/// Members up to which each is told of each. Chosen: 256 members, four times a second, are told
/// of everybody in under 10 MB/s at worst.
const ROSTER_MEMBERS_MAX: usize = 256;
