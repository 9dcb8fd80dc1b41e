//! What a device's certificate says: the limits for each user, and the mixer mark.

use rustls::pki_types::CertificateDer;

use crate::{
    ca::{
        authority_error::AuthorityError,
        directory,
        profile::{DeviceProfile, Signer},
        refusal::CaRefusal,
        settings::AuthoritySettings,
        store::{DeviceRecord, Ledger},
    },
    certificate::MixerMark,
    fingerprint::Fingerprint,
    identity::{NodeId, UserId},
    unix_time::UnixTime,
};

/// The issuing CA under its operator's limits. Whoever calls it has authenticated the device.
pub(crate) struct Certifier {
    issuing: Signer,
    issuing_ends: UnixTime,
    settings: AuthoritySettings,
}

impl Certifier {
    pub(crate) fn new(
        issuing: Signer,
        settings: AuthoritySettings,
    ) -> Result<Self, AuthorityError> {
        let issuing_ends = directory::expiry(&issuing.certificate)?;
        Ok(Self { issuing, issuing_ends, settings })
    }

    pub(crate) fn issuing(&self) -> &Signer {
        &self.issuing
    }

    /// Issues a certificate and records it.
    pub(crate) fn certify(
        &self,
        ledger: &Ledger<'_>,
        now: UnixTime,
        user: &UserId,
        node: NodeId,
        wants_mixer: bool,
    ) -> Result<Vec<CertificateDer<'static>>, CaRefusal> {
        let profile = self.decide(ledger, now, user, node, wants_mixer)?;
        let leaf = self.sign(now, &profile)?;
        record(ledger, &profile, &leaf)?;
        Ok(vec![leaf, self.issuing.certificate.clone()])
    }

    /// Says what the device's certificate is to say; writes nothing.
    pub(crate) fn decide<'a>(
        &self,
        ledger: &Ledger<'_>,
        now: UnixTime,
        user: &'a UserId,
        node: NodeId,
        wants_mixer: bool,
    ) -> Result<DeviceProfile<'a>, CaRefusal> {
        let known = ledger.device(&node)?;
        if known.as_ref().is_some_and(|known| known.user != user.as_str()) {
            return Err(CaRefusal::KeyOfAnother);
        }
        // A lapsed mark is not kept: else one could hoard old keys and revive whichever is near.
        let marked = known.filter(|known| known.not_after > now).and_then(|known| known.mixer);
        let (devices, mixers) = ledger.other_devices(now, user, &node)?;
        let max = self.settings.devices_per_user_max;
        if devices >= max {
            return Err(CaRefusal::TooManyDevices { user: user.clone(), max });
        }
        let mixer = self.mark(now, user, wants_mixer, marked, mixers)?;
        let not_after = now.after(self.settings.certificate_lifetime).min(self.issuing_ends);
        Ok(DeviceProfile { user, node, mixer, not_after })
    }

    /// Signs what was decided; whoever calls this must also record it.
    pub(crate) fn sign(
        &self,
        now: UnixTime,
        profile: &DeviceProfile<'_>,
    ) -> Result<CertificateDer<'static>, CaRefusal> {
        self.issuing.device(now, profile).map_err(|error| {
            tracing::error!(user = %profile.user, %error, "a device certificate could not be signed");
            CaRefusal::Internal
        })
    }

    /// Returns the mark that the certificate gets.
    ///
    /// A key whose marked certificate is still valid keeps the mark even if it does not ask for it:
    /// the old certificate goes on working, so the key goes on counting.
    fn mark(
        &self,
        now: UnixTime,
        user: &UserId,
        wants_mixer: bool,
        marked: Option<MixerMark>,
        other_mixers: u32,
    ) -> Result<Option<MixerMark>, CaRefusal> {
        match (self.settings.mixers.allows(user), marked) {
            (true, Some(mark)) => return Ok(Some(mark)),
            (_, _) if !wants_mixer => return Ok(None),
            (false, _) => return Err(CaRefusal::MixerForbidden(user.clone())),
            (true, None) => {}
        }
        let max = self.settings.mixers_per_user_max;
        if other_mixers >= max {
            return Err(CaRefusal::TooManyMixers { user: user.clone(), max });
        }
        Ok(Some(MixerMark { node_since: now }))
    }
}

/// Enters an issued certificate.
pub(crate) fn record(
    ledger: &Ledger<'_>,
    profile: &DeviceProfile<'_>,
    leaf: &CertificateDer<'_>,
) -> Result<(), CaRefusal> {
    let DeviceProfile { user, node, mixer, not_after } = profile;
    let record = DeviceRecord { user: user.to_string(), mixer: *mixer, not_after: *not_after };
    Ok(ledger.put_device(node, &record, Fingerprint::of(leaf))?)
}
