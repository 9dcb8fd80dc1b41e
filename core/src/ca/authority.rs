//! The CA's decisions.
//!
//! Time is an argument, the database is the only state: a restart changes nothing, and expiry is
//! tested without waiting.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::pki_types::CertificateDer;

use crate::{
    ca::{
        authority_error::AuthorityError,
        bulk::{self, BulkError},
        certifier::Certifier,
        csr::requested_key,
        directory::{self, Authorities, DATABASE, OUTBOX},
        otp::{self, OtpHash, TRIES_MAX},
        outbox::{FolderOutbox, Mail, Outbox},
        proof::{Redemption, Renewal},
        refusal::CaRefusal,
        settings::AuthoritySettings,
        store::{Ledger, Store},
    },
    certificate::TrustRoot,
    identity::{DeviceKey, Identity, IdentityError, UserId},
    unix_time::UnixTime,
};

/// A certificate authority on one folder. Shared between threads by reference.
pub struct Authority {
    root: TrustRoot,
    certifier: Certifier,
    settings: AuthoritySettings,
    store: Mutex<Store>,
    outbox: Box<dyn Outbox>,
}

impl Authority {
    /// Opens the CA in `dir`, or makes a new one there: root, issuing CA, database, outbox folder.
    ///
    /// # Errors
    /// `AuthorityError` names what is missing or broken, or says that the CA there is of another
    /// kind than `settings.test_network`.
    pub fn open_or_create(
        now: UnixTime,
        dir: &Path,
        settings: AuthoritySettings,
    ) -> Result<Self, AuthorityError> {
        Self::on(directory::open_or_create(now, dir, settings.test_network)?, dir, settings)
    }

    /// Opens the CA in `dir`, whose root says of what kind it is.
    ///
    /// # Errors
    /// `AuthorityError` names what is missing or broken.
    pub fn open(
        now: UnixTime,
        dir: &Path,
        settings: AuthoritySettings,
    ) -> Result<Self, AuthorityError> {
        let authorities = directory::open(now, dir)?;
        let test_network = authorities.root.is_test_network();
        Self::on(authorities, dir, AuthoritySettings { test_network, ..settings })
    }

    fn on(
        authorities: Authorities,
        dir: &Path,
        settings: AuthoritySettings,
    ) -> Result<Self, AuthorityError> {
        Ok(Self {
            certifier: Certifier::new(authorities.issuing, settings.clone())?,
            root: authorities.root,
            settings,
            store: Mutex::new(Store::open(&dir.join(DATABASE))?),
            outbox: Box::new(FolderOutbox::new(&dir.join(OUTBOX))?),
        })
    }

    /// Sends mails through `outbox` instead of the folder.
    #[must_use]
    pub fn with_outbox(mut self, outbox: Box<dyn Outbox>) -> Self {
        self.outbox = outbox;
        self
    }

    /// Makes a one-time password for `user` and mails it; it replaces an earlier one.
    ///
    /// # Errors
    /// `RateLimited`, `MailFailed` or `Internal`.
    pub fn request_otp(&self, now: UnixTime, user: &UserId) -> Result<(), CaRefusal> {
        let otp = otp::generate().ok_or(CaRefusal::Internal)?;
        let hash = OtpHash::new(user, &otp).ok_or(CaRefusal::Internal)?;
        let expires = now.after(self.settings.otp_lifetime);
        self.store().alone(|ledger| {
            let since = now.before(HOUR);
            let (of_user, of_all) = ledger.otp_counts(user, since)?;
            let is_over = of_user >= self.settings.otp_per_user_hour_max
                || of_all >= self.settings.mails_per_hour_max;
            if is_over {
                return Err(CaRefusal::RateLimited(HOUR));
            }
            Ok(ledger.put_otp(now, user, &hash, expires, since)?)
        })?;
        let mail = Mail { user: user.clone(), otp: otp.to_string(), created: now, expires };
        self.outbox.send(&mail).map_err(|error| {
            tracing::error!(%user, %error, "a mail with a one-time password could not be sent");
            CaRefusal::MailFailed
        })
    }

    /// Exchanges a one-time password for a certificate: leaf, then issuing CA.
    ///
    /// Request and proof are checked before the password, so they cost no try; every try on the
    /// password is counted before it is compared.
    ///
    /// # Errors
    /// `CaRefusal` says what was wrong and what to do next.
    pub fn redeem(
        &self,
        now: UnixTime,
        redemption: &Redemption<'_>,
    ) -> Result<Vec<CertificateDer<'static>>, CaRefusal> {
        let Redemption { user, otp, mixer, .. } = *redemption;
        let node = requested_key(redemption.csr)?;
        if !redemption.is_proven(&node) {
            return Err(CaRefusal::BadProof);
        }
        let chain = self.store().alone(|ledger| {
            self.try_otp(ledger, now, user, otp)?;
            let chain = self.certifier.certify(ledger, now, user, node, mixer)?;
            ledger.mark_used(user)?;
            Ok::<_, CaRefusal>(chain)
        })?;
        tracing::info!(%user, %node, mixer, "device enrolled");
        Ok(chain)
    }

    /// Renews a certificate for the same key; the mixer mark and its date stay.
    ///
    /// # Errors
    /// `Certificate` if the present one is not valid, `BadProof`, or `UnknownDevice`.
    pub fn renew(
        &self,
        now: UnixTime,
        renewal: &Renewal<'_>,
    ) -> Result<Vec<CertificateDer<'static>>, CaRefusal> {
        let present = self.root.verify_device(now, renewal.chain)?;
        if !renewal.is_proven(&present.node) {
            return Err(CaRefusal::BadProof);
        }
        self.store().alone(|ledger| {
            let record = ledger.device(&present.node)?.ok_or(CaRefusal::UnknownDevice)?;
            let mixer = record.mixer.is_some();
            self.certifier.certify(ledger, now, &present.user, present.node, mixer)
        })
    }

    /// Enrols a device without a password, on the word of whoever runs the CA.
    ///
    /// # Errors
    /// `CaRefusal`: the limits for each user hold here too.
    pub fn issue(
        &self,
        now: UnixTime,
        user: &UserId,
        key: Arc<DeviceKey>,
        mixer: bool,
    ) -> Result<Identity, CaRefusal> {
        let chain = self
            .store()
            .alone(|ledger| self.certifier.certify(ledger, now, user, key.node(), mixer))?;
        Identity::new(now, key, chain, self.root.clone()).map_err(|error| match error {
            IdentityError::Chain(error) => CaRefusal::Certificate(error),
            error => {
                tracing::error!(%error, "the CA's own certificate does not verify");
                CaRefusal::Internal
            }
        })
    }

    /// Enrols a new device for each user at once, in the order of `users`; all of them or none.
    ///
    /// Makes the keys too, which nobody outside a test network may do for others. Certificates say
    /// and the database holds the same as by password.
    ///
    /// # Errors
    /// `BulkError` if this is not a test network's CA, or a limit would be passed.
    pub fn issue_many(
        &self,
        now: UnixTime,
        users: &[UserId],
        mixer: bool,
    ) -> Result<Vec<Identity>, BulkError> {
        if !self.root.is_test_network() {
            return Err(BulkError::NoTestNetwork);
        }
        let keys = bulk::keys(users)?;
        // One transaction, so that the limits hold whoever else issues meanwhile.
        let leaves = self
            .store()
            .alone(|ledger| bulk::issue(&self.certifier, ledger, now, (users, &keys), mixer))?;
        bulk::identities(now, &self.root, &self.certifier.issuing().certificate, keys, leaves)
    }

    /// Returns the root, whose fingerprint newcomers are given.
    #[must_use]
    pub fn root(&self) -> &TrustRoot {
        &self.root
    }

    /// Returns the CA's limits.
    #[must_use]
    pub fn settings(&self) -> &AuthoritySettings {
        &self.settings
    }

    /// Makes a certificate for the CA's server: leaf, issuing CA and root.
    pub(crate) fn server_chain(
        &self,
        now: UnixTime,
        key: &DeviceKey,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let leaf = self.certifier.issuing().server(now, key)?;
        Ok(vec![leaf, self.certifier.issuing().certificate.clone(), self.root.der().clone()])
    }

    fn try_otp(
        &self,
        ledger: &Ledger<'_>,
        now: UnixTime,
        user: &UserId,
        otp: &str,
    ) -> Result<(), CaRefusal> {
        let unknown = || CaRefusal::UnknownRequest(user.clone());
        let record = ledger.otp(user)?.ok_or_else(unknown)?;
        if record.is_used {
            return Err(CaRefusal::AlreadyUsed);
        }
        if record.expires <= now {
            return Err(CaRefusal::OtpExpired(self.settings.otp_lifetime));
        }
        if record.tries >= TRIES_MAX {
            return Err(CaRefusal::TooManyTries);
        }
        ledger.count_try(user)?;
        match record.otp.is_of(user, otp) {
            true => Ok(()),
            false => Err(CaRefusal::WrongOtp { tries_left: TRIES_MAX - record.tries - 1 }),
        }
    }

    /// The store stays consistent when a thread panics: its transaction is rolled back.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Window of the limits on passwords.
const HOUR: Duration = Duration::from_secs(3600);
