//! Where mails with one-time passwords go.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

use crate::{
    file::{self, Access, FileError},
    identity::UserId,
    unix_time::UnixTime,
};

/// A mail that carries a one-time password.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who asked.
    pub user: UserId,
    /// The password.
    pub otp: String,
    /// When it was made.
    pub created: UnixTime,
    /// Until when it can be used.
    pub expires: UnixTime,
}

/// Takes mails away: into a folder, or to a mail server.
pub trait Outbox: Send + Sync {
    /// Sends one mail.
    ///
    /// # Errors
    /// The reason, for the operator's log; the user only learns that mail failed.
    fn send(&self, mail: &Mail) -> io::Result<()>;
}

/// An outbox that is a folder: one file for each mail, mode 0600.
#[derive(Clone, Debug)]
pub struct FolderOutbox {
    dir: PathBuf,
}

impl FolderOutbox {
    /// Uses `dir`, which is made when it does not exist.
    ///
    /// # Errors
    /// `FileError` if the folder cannot be made.
    pub fn new(dir: &Path) -> Result<Self, FileError> {
        file::create_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Returns the newest password that was mailed to `user`; for a demo on one machine.
    ///
    /// # Errors
    /// The system's, if the folder cannot be read.
    pub fn newest_otp(&self, user: &UserId) -> io::Result<Option<String>> {
        let to = format!("To: {user}");
        let mut newest: Option<(String, String)> = None;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_older = newest.as_ref().is_some_and(|(newest, _)| *newest > name);
            if !name.ends_with(SUFFIX) || is_older {
                continue;
            }
            let text = fs::read_to_string(entry.path())?;
            let otp = text.lines().find_map(|line| line.strip_prefix("OTP: "));
            if let Some(otp) = otp.filter(|_| text.lines().any(|line| line == to)) {
                newest = Some((name, otp.to_owned()));
            }
        }
        Ok(newest.map(|(_, otp)| otp))
    }
}

impl Outbox for FolderOutbox {
    fn send(&self, mail: &Mail) -> io::Result<()> {
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let (time, random) = (mail.created.as_secs(), HEXLOWER.encode(&random));
        // Mails of one second are in the order in which they were written.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{time:012}-{number:010}-{random}{SUFFIX}"));
        let Mail { user, otp, expires, .. } = mail;
        let text = format!(
            "To: {user}\nSubject: Your one-time password for Sabha\n\nOTP: {otp}\n\n\
             It can be used once, until {expires}. If you did not ask for it, ignore this mail.\n"
        );
        file::write(&path, text.as_bytes(), Access::OwnerOnly).map_err(io::Error::other)
    }
}

/// Mails that this process has written.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Ending of a mail's file name; files that are still being written have another.
const SUFFIX: &str = ".txt";
