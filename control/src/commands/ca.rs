//! `sabha ca`: a certificate authority until it is told to end, or what is done beside it.

mod bulk;

use std::{sync::Arc, time::Duration};

use sabha_core::{
    Clock,
    ca::{Authority, CaServer},
};

use crate::{
    cli::{CaAction, CaArgs, Failure, Shutdown, output},
    config::Config,
};

/// Serves, or does what was asked for instead.
///
/// # Errors
/// `Failure` if the CA's folder, its address or a file cannot be used.
pub async fn run(config: &Config, args: CaArgs) -> Result<(), Failure> {
    match args.action {
        None => serve(config).await,
        Some(CaAction::Bulk(args)) => bulk::run(&config.ca, &args),
    }
}

/// Serves until SIGTERM or SIGINT; prints `listening ADDR` and `fingerprint HEX` when it is ready.
async fn serve(config: &Config) -> Result<(), Failure> {
    let mut shutdown = Shutdown::listen()?;
    let (clock, ca) = (Clock::system(), &config.ca);
    let authority = Authority::open_or_create(clock.now(), &ca.dir, ca.settings.clone())?;
    let fingerprint = authority.root().fingerprint();
    let server = CaServer::bind(ca.listen, Arc::new(authority), clock)?;
    let (address, endpoint) = (server.local_addr()?, server.endpoint());
    let mut serving = tokio::spawn(server.run());
    output::print(&format!("listening {address}\nfingerprint {fingerprint}\n"))?;
    let outbox = ca.dir.join("outbox");
    tracing::info!(%address, outbox = %outbox.display(), "CA serves; passwords go to the outbox");

    tokio::select! {
        () = shutdown.requested() => {}
        ended = &mut serving => {
            ended?;
            return Err(Failure::new("the CA's socket is gone; start the CA again"));
        }
    }
    endpoint.close(0u32.into(), b"the CA ends");
    serving.await?;
    if tokio::time::timeout(GOODBYE_TIMEOUT, endpoint.wait_idle()).await.is_err() {
        tracing::warn!("some callers were not told that the CA ends");
    }
    tracing::info!("CA ended");
    Ok(())
}

/// How long callers are told good-bye; a round trip takes far less.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);
