//! `sabha enroll`.

use clap::Args;
use sabha_core::{Fingerprint, UserId};

use crate::{
    cli::{HostPort, args::given},
    config::Flag,
};

/// Get this device a certificate from a CA
///
/// The CA mails a one-time password to the user; with it, the device's own new key is certified.
/// Without --otp the password is asked for: at a terminal you then type it, elsewhere the command
/// ends and says what to run next. Running it again keeps the key and renews the certificate.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct EnrollArgs {
    /// Address of the CA
    #[arg(long, value_name = "HOST:PORT")]
    pub ca: HostPort,
    /// Fingerprint of the CA's root, as `sabha ca` prints it
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Fingerprint,
    /// Email address of the user
    #[arg(long, value_name = "EMAIL")]
    pub user: UserId,
    /// One-time password from the mail
    #[arg(long)]
    pub otp: Option<String>,
    /// Ask for the mixer mark, which a node needs to carry conferences
    #[arg(long)]
    pub mixer: bool,
    /// Folder of the identity [default: $XDG_DATA_HOME/sabha]
    #[arg(long)]
    pub dir: Option<String>,
}

impl EnrollArgs {
    pub(crate) fn flags(&self) -> Vec<Flag> {
        given([("identity.dir", "--dir", &self.dir)])
    }
}

const HELP: &str = "\
Examples:
  sabha enroll --ca ca.example.org:4700 --fingerprint 5f1c... --user ann@example.org
  sabha enroll --ca ca.example.org:4700 --fingerprint 5f1c... --user ann@example.org \\
      --otp A7K2M-9QX4D --mixer

Files, in the identity's folder ($XDG_DATA_HOME/sabha, by default ~/.local/share/sabha):
  device.key      private key of this device; never copy it, enrol each device instead
  device.pem      its certificate, and that of the issuing CA
  root.pem        the root that this device believes

Printed on stdout: user, node ID, until when the certificate is valid, and the mixer mark.";
