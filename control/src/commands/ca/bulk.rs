//! `sabha ca bulk`: identities of a test network, thousands in one file.

use std::path::Path;

use sabha_core::{
    Clock, UserId,
    ca::Authority,
    identity::{UserIdError, bundle},
};

use crate::{
    cli::{BulkArgs, Failure, output},
    config::CaConfig,
};

/// Enrols the devices, writes them, and prints how many there are, whose, and of which root.
///
/// Runs to its end on the calling thread; nothing else is under way.
pub(super) fn run(ca: &CaConfig, args: &BulkArgs) -> Result<(), Failure> {
    let users = users(args).map_err(|error| Failure::usage(&error.to_string()))?;
    check_place(&args.out)?;
    let now = Clock::system().now();
    let settings = ca.settings.clone();
    let authority = match settings.test_network {
        true => Authority::open_or_create(now, &ca.dir, settings)?,
        false => Authority::open(now, &ca.dir, settings)?,
    };
    let identities = authority.issue_many(now, &users, args.mixer)?;
    bundle::save(&args.out, &identities)?;
    let (first, last) = (&users[0], &users[users.len() - 1]);
    let fingerprint = authority.root().fingerprint();
    Ok(output::print(&format!(
        "devices {}\nusers {first} to {last}\nfingerprint {fingerprint}\n",
        identities.len()
    ))?)
}

fn users(args: &BulkArgs) -> Result<Vec<UserId>, UserIdError> {
    let name = |number| UserId::new(&format!("{}{number:06}@{DOMAIN}", args.prefix));
    (1..=args.count).map(name).collect()
}

/// Finds out that there is no place for the file before devices are enrolled for nothing.
fn check_place(out: &Path) -> Result<(), Failure> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let has_folder = parent.is_none_or(Path::is_dir);
    match has_folder && !out.is_dir() {
        true => Ok(()),
        false => Err(Failure::usage(&format!(
            "{} cannot be written; name a file in a folder that exists with --out",
            out.display()
        ))),
    }
}

/// Domain of the users: one that nobody can own. Source: RFC 2606 section 3.
const DOMAIN: &str = "example.org";
