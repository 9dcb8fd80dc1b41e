//! The CA's memory: one-time passwords and devices, in SQLite.
//!
//! Every decision runs in one immediate transaction, so two servers on one database cannot both
//! redeem a password.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::{
    ca::otp::OtpHash,
    certificate::MixerMark,
    fingerprint::Fingerprint,
    identity::{NodeId, UserId},
    unix_time::UnixTime,
};

/// An open database.
pub(crate) struct Store(Connection);

/// What is known of the newest password of a user.
pub(crate) struct OtpRecord {
    pub otp: OtpHash,
    pub expires: UnixTime,
    pub tries: u32,
    pub is_used: bool,
}

/// What is known of a device.
pub(crate) struct DeviceRecord {
    pub user: String,
    pub mixer: Option<MixerMark>,
    pub not_after: UnixTime,
}

impl Store {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// Runs `work` alone; what it did is kept whatever it decides, unless the database fails.
    pub(crate) fn alone<T, E: From<rusqlite::Error>>(
        &mut self,
        work: impl FnOnce(&Ledger<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let decision = work(&Ledger(&transaction));
        transaction.commit()?;
        decision
    }
}

/// The tables, seen from inside a transaction.
pub(crate) struct Ledger<'a>(&'a Transaction<'a>);

impl Ledger<'_> {
    /// Counts passwords made since `since`: of one user, and of all.
    pub(crate) fn otp_counts(
        &self,
        user: &UserId,
        since: UnixTime,
    ) -> rusqlite::Result<(u32, u32)> {
        self.0.query_row(
            "SELECT COUNT(*) FILTER (WHERE user = ?1), COUNT(*) FROM mail WHERE created > ?2",
            params![user.as_str(), since.as_i64()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Replaces the user's password and forgets mails from before `since`.
    pub(crate) fn put_otp(
        &self,
        now: UnixTime,
        user: &UserId,
        otp: &OtpHash,
        expires: UnixTime,
        since: UnixTime,
    ) -> rusqlite::Result<()> {
        self.0.execute("DELETE FROM mail WHERE created <= ?1", [since.as_i64()])?;
        self.0.execute("DELETE FROM otp WHERE expires <= ?1", [since.as_i64()])?;
        self.0.execute(
            "INSERT INTO mail (user, created) VALUES (?1, ?2)",
            params![user.as_str(), now.as_i64()],
        )?;
        self.0.execute(
            "INSERT OR REPLACE INTO otp (user, salt, hash, expires, tries, used)
             VALUES (?1, ?2, ?3, ?4, 0, 0)",
            params![user.as_str(), otp.salt, otp.hash, expires.as_i64()],
        )?;
        Ok(())
    }

    pub(crate) fn otp(&self, user: &UserId) -> rusqlite::Result<Option<OtpRecord>> {
        self.0
            .query_row(
                "SELECT salt, hash, expires, tries, used FROM otp WHERE user = ?1",
                [user.as_str()],
                |row| {
                    Ok(OtpRecord {
                        otp: OtpHash { salt: row.get(0)?, hash: row.get(1)? },
                        expires: time(row.get(2)?),
                        tries: row.get(3)?,
                        is_used: row.get(4)?,
                    })
                },
            )
            .optional()
    }

    pub(crate) fn count_try(&self, user: &UserId) -> rusqlite::Result<()> {
        self.0.execute("UPDATE otp SET tries = tries + 1 WHERE user = ?1", [user.as_str()])?;
        Ok(())
    }

    pub(crate) fn mark_used(&self, user: &UserId) -> rusqlite::Result<()> {
        self.0.execute("UPDATE otp SET used = 1 WHERE user = ?1", [user.as_str()])?;
        Ok(())
    }

    pub(crate) fn device(&self, node: &NodeId) -> rusqlite::Result<Option<DeviceRecord>> {
        self.0
            .query_row(
                "SELECT user, node_since, not_after FROM device WHERE node = ?1",
                [node.0],
                |row| {
                    let since: Option<i64> = row.get(1)?;
                    Ok(DeviceRecord {
                        user: row.get(0)?,
                        mixer: since.map(|since| MixerMark { node_since: time(since) }),
                        not_after: time(row.get(2)?),
                    })
                },
            )
            .optional()
    }

    /// Counts a user's other devices that are valid at `now`: all, and those with a mark.
    pub(crate) fn other_devices(
        &self,
        now: UnixTime,
        user: &UserId,
        node: &NodeId,
    ) -> rusqlite::Result<(u32, u32)> {
        self.0.query_row(
            "SELECT COUNT(*), COUNT(node_since) FROM device
             WHERE user = ?1 AND node != ?2 AND not_after > ?3",
            params![user.as_str(), node.0, now.as_i64()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    pub(crate) fn put_device(
        &self,
        node: &NodeId,
        record: &DeviceRecord,
        fingerprint: Fingerprint,
    ) -> rusqlite::Result<()> {
        let since = record.mixer.map(|mark| mark.node_since.as_i64());
        self.0.execute(
            "INSERT OR REPLACE INTO device (node, user, node_since, not_after, fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![node.0, record.user, since, record.not_after.as_i64(), fingerprint.0],
        )?;
        Ok(())
    }
}

fn time(secs: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(secs).unwrap_or(0))
}

/// How long one process waits for another's transaction, which takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS mail (user TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS mail_created ON mail (created);
    CREATE TABLE IF NOT EXISTS otp (
        user TEXT PRIMARY KEY,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        expires INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        used INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS device (
        node BLOB PRIMARY KEY,
        user TEXT NOT NULL,
        node_since INTEGER,
        not_after INTEGER NOT NULL,
        fingerprint BLOB NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS device_user ON device (user);
";
