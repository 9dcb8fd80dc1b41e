//! `sabha enroll`: a certificate for this device.
//!
//! The key is written before a password is redeemed, so no password is spent on a key that is then
//! lost.

mod existing;
mod newcomer;

use std::{
    fs::DirBuilder,
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
};

use sabha_core::{
    Clock, DeviceKey, Identity,
    ca::{CaCode, EnrolError},
};

use self::newcomer::Newcomer;
use crate::{
    cli::{EnrollArgs, Failure, output},
    config::Config,
};

/// Enrols this device and prints what its certificate says.
///
/// # Errors
/// `Failure` if the folder holds another identity, or the CA cannot be reached or refuses.
pub async fn run(config: &Config, args: EnrollArgs) -> Result<(), Failure> {
    let (clock, dir) = (Clock::system(), &config.identity.dir);
    let key = existing::key(clock.now(), dir, &args)?;
    let otp = args.otp.clone();
    let newcomer = Newcomer::new(clock, args).await?;
    if otp.is_none() {
        newcomer.request().await?;
        if !io::stdin().is_terminal() {
            return Ok(output::print(&newcomer.next_step())?);
        }
    }
    let key = key.map_or_else(|| create_key(dir), Ok)?;
    let identity = match otp {
        Some(otp) => newcomer.redeem(&key, &otp).await?,
        None => redeem_typed(&newcomer, &key).await?,
    };
    identity.save(dir)?;
    tracing::info!(dir = %dir.display(), "identity written");
    print(&identity)
}

/// Makes a key and writes it, so that what is certified is certainly kept.
fn create_key(dir: &Path) -> Result<Arc<DeviceKey>, Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        let dir = dir.display();
        Failure::new(&format!("cannot create {dir}: {error}; name another folder with --dir"))
    })?;
    let key = DeviceKey::generate()?;
    key.save(&dir.join(existing::KEY_FILE))?;
    Ok(Arc::new(key))
}

/// Asks at the terminal until the password is right; the CA allows few tries.
async fn redeem_typed(newcomer: &Newcomer, key: &Arc<DeviceKey>) -> Result<Identity, Failure> {
    let user = newcomer.user().clone();
    loop {
        let question = format!("One-time password that was mailed to {user}: ");
        let otp = tokio::task::spawn_blocking(move || ask(&question)).await??;
        match newcomer.redeem(key, &otp).await {
            Err(EnrolError::Refused { code: CaCode::WrongOtp, message }) => {
                writeln!(io::stderr(), "{message}")?;
            }
            done => return Ok(done?),
        }
    }
}

fn ask(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    if io::stdin().lock().take(LINE_LEN_MAX).read_line(&mut line)? == 0 {
        return Err(io::Error::other("no password was typed; run the command again"));
    }
    Ok(line.trim().to_owned())
}

fn print(identity: &Identity) -> Result<(), Failure> {
    let certificate = identity.certificate();
    let mixer = match certificate.mixer {
        Some(mark) => format!("since {}", mark.node_since),
        None => "no".to_owned(),
    };
    Ok(output::print(&format!(
        "user {}\nnode {}\nvalid until {}\nmixer {mixer}\n",
        certificate.user, certificate.node, certificate.not_after
    ))?)
}

/// Longest line that is read as a password, in bytes; the CA takes 64.
const LINE_LEN_MAX: u64 = 64;
