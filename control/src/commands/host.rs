//! `sabha host`: opens a conference and gives tickets until it is told to end.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use sabha_client::host::{Host, HostSettings};
use sabha_core::message::ConferenceSettings;
use sabha_core::{Clock, Identity, UserId};
use tokio::sync::mpsc;

use crate::{
    cli::{Failure, HostArgs, Shutdown, output},
    config::Config,
};

/// Holds a conference until SIGTERM, SIGINT or the order `end`; the first line printed is the join
/// link. Lines on stdin are orders.
///
/// # Errors
/// `Failure` if the node cannot be reached or refuses, or the session with it breaks.
pub async fn run(config: &Config, args: HostArgs) -> Result<(), Failure> {
    let mut shutdown = Shutdown::listen()?;
    let clock = Clock::system();
    let identity = Identity::load(clock.now(), &config.identity.dir)?;
    let users = args.permitted()?;
    let invited = users.len();
    let addresses = args.node.address.resolve().await?;
    let node_address = *addresses.first().ok_or_else(|| Failure::new("the node has no address"))?;
    let settings = HostSettings {
        listen: config.client.listen,
        advertise: vec![advertised(config.client.listen, node_address)],
        node: args.node.node,
        node_address,
        users,
        cohosts: BTreeSet::new(),
        settings: ConferenceSettings {
            talkers_max: u16::from(args.talkers_max),
            self_share_percent: args.self_share,
            members_max: args.members_max,
            mode: args.mode,
        },
        lasts: Duration::from_secs(u64::from(args.expires_hours) * 3600),
    };
    let host = Host::open(clock, identity, settings).await?;
    output::line(host.link())?;
    tracing::info!(conference = %host.conference(), invited, "conference open");
    let mut orders = orders();
    let lost = loop {
        tokio::select! {
            () = shutdown.requested() => break None,
            lost = host.serve() => break Some(lost),
            Some(order) = orders.recv() => {
                if order.trim() == "end" {
                    break None;
                }
                match obey(&host, &order).await {
                    Ok(done) => tracing::info!("{done}"),
                    Err(problem) => tracing::warn!("{problem}"),
                }
            }
        }
    };
    let (registered, refused) = host.registrations();
    tracing::info!(registered, refused, "conference ends");
    match lost {
        None => Ok(host.end().await?),
        Some(lost) => Err(Failure::from(lost)),
    }
}

/// Gives the lines of stdin, on which a host may order things while the conference goes on.
fn orders() -> mpsc::Receiver<String> {
    let (sender, orders) = mpsc::channel(1);
    // Reading blocks and cannot be cancelled, so the thread is left behind at the end.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    orders
}

/// Carries out one line of stdin; returns what was done, or what was wrong with it.
async fn obey(host: &Host, order: &str) -> Result<String, String> {
    let words: Vec<_> = order.split_whitespace().collect();
    let user = |text: &str| UserId::new(text).map_err(|error| error.to_string());
    let outcome = match words[..] {
        [] => return Ok("nothing to do".to_owned()),
        ["mute", who] => host.mute(user(who)?, true).await,
        ["unmute", who] => host.mute(user(who)?, false).await,
        ["lock"] => host.lock(true).await,
        ["unlock"] => host.lock(false).await,
        _ => {
            let known = "mute EMAIL, unmute EMAIL, lock, unlock, end";
            return Err(format!("{order:?} is no order; the orders are: {known}"));
        }
    };
    outcome.map(|()| format!("done: {order}")).map_err(|error| error.to_string())
}

/// Returns the address for the join link: the one listened on, or if that is every address, the
/// one from which this machine reaches the node.
fn advertised(listen: SocketAddr, node: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    SocketAddr::new(local_ip_towards(node).unwrap_or(node.ip()), listen.port())
}

/// Asks the kernel's routing table; nothing is sent.
fn local_ip_towards(remote: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
