//! Progress of whatever takes over two seconds, on stderr; silent when that is not a terminal.

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line that shows what is being done; it vanishes when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows a spinner: for work whose end is not known.
    #[must_use]
    pub fn spinner(message: impl Into<Cow<'static, str>>) -> Self {
        Self::show(ProgressBar::new_spinner(), SPINNER, message.into())
    }

    /// Shows a bar of `steps` steps.
    #[must_use]
    pub fn bar(message: impl Into<Cow<'static, str>>, steps: u64) -> Self {
        Self::show(ProgressBar::new(steps), BAR, message.into())
    }

    /// Tells how many steps are done.
    pub fn set(&self, steps: u64) {
        self.0.set_position(steps);
    }

    /// Tells that one more step is done.
    pub fn advance(&self) {
        self.0.inc(1);
    }

    /// Tells what is being done now.
    pub fn tell(&self, message: impl Into<Cow<'static, str>>) {
        self.0.set_message(message.into());
    }

    fn show(bar: ProgressBar, style: &str, message: Cow<'static, str>) -> Self {
        let style = ProgressStyle::with_template(style).expect("a constant template");
        let bar = LINES.add(bar).with_style(style).with_message(message);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Runs what writes to the terminal while no progress is shown.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    LINES.suspend(write)
}

static LINES: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

const SPINNER: &str = "{spinner} {msg} ({elapsed})";
const BAR: &str = "{msg} [{bar:30}] {pos}/{len} ({eta})";
/// How often the spinner turns; chosen to look alive.
const TICK: Duration = Duration::from_millis(120);
