//! The wish to end: SIGTERM, or Ctrl-C.

use std::{
    io::{self, Write},
    process,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// The wish to end. Clones see the same one.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Listens for SIGTERM and SIGINT from now on; the second one ends the process at once, code 1.
    ///
    /// # Errors
    /// The system's, if it takes no further signal handler.
    pub fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (wish, wished) = watch::channel(false);
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "ending in order; a second signal ends at once");
            wish.send_replace(true);
            let name = signals.next().await;
            let _ = writeln!(io::stderr(), "sabha: {name} came twice, so nothing was put in order");
            process::exit(1);
        });
        Ok(Self(wished))
    }

    /// Completes when the end was wished for; at once if that was before.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|wished| *wished).await.is_err() {
            // Only the end of the runtime drops the sender before the wish.
            std::future::pending::<()>().await;
        }
    }

    /// Returns whether the end was wished for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
