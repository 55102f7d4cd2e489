//! What a command is at, on a terminal: some work for many seconds, interpreters above all.

use indicatif::{ProgressBar, ProgressDrawTarget};
use std::time::Duration;

/// A line on the terminal that turns, until it is dropped. Where the standard error isn't a terminal, nothing.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    /// Shows nothing before the first [`Self::say`].
    pub(super) fn new() -> Self {
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// Never shows anything.
    pub(super) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// What is done from now on.
    pub(super) fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.enable_steady_tick(Duration::from_millis(100));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
