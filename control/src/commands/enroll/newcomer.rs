//! Somebody who asks a CA for a certificate.

use std::{net::SocketAddr, sync::Arc};

use sabha_core::{
    Clock, DeviceKey, Identity, UserId,
    ca::{EnrolError, redeem, request_otp},
    signalling::LinkError,
};

use crate::cli::{EnrollArgs, Progress, host_port::ResolveError};

/// Somebody who asks a CA for a certificate.
pub(super) struct Newcomer {
    clock: Clock,
    args: EnrollArgs,
    addresses: Vec<SocketAddr>,
}

impl Newcomer {
    /// Looks the CA up.
    pub(super) async fn new(clock: Clock, args: EnrollArgs) -> Result<Self, ResolveError> {
        Ok(Self { clock, addresses: args.ca.resolve().await?, args })
    }

    /// Asks for a one-time password.
    pub(super) async fn request(&self) -> Result<(), EnrolError> {
        let Self { clock, args, .. } = self;
        self.ask(async |address| request_otp(clock, address, args.fingerprint, &args.user).await)
            .await
    }

    /// Exchanges a one-time password for a certificate of `key`.
    pub(super) async fn redeem(
        &self,
        key: &Arc<DeviceKey>,
        otp: &str,
    ) -> Result<Identity, EnrolError> {
        let Self { clock, args, .. } = self;
        self.ask(async |address| {
            let key = key.clone();
            redeem(clock, address, args.fingerprint, &args.user, otp, key, args.mixer).await
        })
        .await
    }

    pub(super) fn user(&self) -> &UserId {
        &self.args.user
    }

    /// Returns what to tell somebody who cannot be asked for the password now.
    pub(super) fn next_step(&self) -> String {
        let EnrollArgs { ca, fingerprint, user, mixer, dir, .. } = &self.args;
        let mixer = if *mixer { " --mixer" } else { "" };
        let dir = dir.as_ref().map_or(String::new(), |dir| format!(" --dir {}", quoted(dir)));
        format!(
            "A one-time password is on its way to {user}. Run next, with the password from the mail:\n  \
             sabha enroll --ca {ca} --fingerprint {fingerprint} --user {user}{mixer}{dir} --otp OTP\n"
        )
    }

    /// Asks at one address after the other, until one answers.
    async fn ask<T>(
        &self,
        ask: impl AsyncFn(SocketAddr) -> Result<T, EnrolError>,
    ) -> Result<T, EnrolError> {
        let _progress = Progress::spinner(format!("asking the CA at {}", self.args.ca));
        let (last, others) = self.addresses.split_last().expect("a look-up returns an address");
        for address in others {
            match ask(*address).await {
                Err(EnrolError::Link(LinkError::Silent { .. }) | EnrolError::Socket { .. }) => {}
                done => return done,
            }
        }
        ask(*last).await
    }
}

/// Returns `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_the_shell_are_quoted_if_need_be() {
        assert_eq!(quoted("/srv/id-1"), "/srv/id-1");
        assert_eq!(quoted("/srv/my id's"), r"'/srv/my id'\''s'");
    }
}
