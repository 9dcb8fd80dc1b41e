//! Logs, on stderr.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::{
    cli::progress,
    config::{LogConfig, LogFormat},
};

/// Sends events to stderr from now on; a second call changes nothing.
pub fn start(config: &LogConfig) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(config.level.to_filter())
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Stderr);
    let _ = match config.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}

/// Writes above whatever progress is being shown.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::aside(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self::Writer {
        Self
    }
}
