//! Shows how training goes: a live bar on a terminal, a line per epoch elsewhere.

use super::evaluation::{Measured, Shown, Totals};
use super::rates::is_rate;
use super::{EpochRecord, TrainError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Progress {
    /// A live bar if the standard output is a terminal, else a line per epoch.
    #[default]
    Auto,
    /// A line per epoch.
    Lines,
    /// Nothing.
    Silent,
}

/// The time between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Writes to the standard output.
pub(super) struct Reporter {
    silent: bool,
    live: bool,
    epochs: usize,
    unit: &'static str,
    /// The names of what is shown in percent.
    percents: Vec<String>,
    epoch: usize,
    steps: usize,
    bar: Option<ProgressBar>,
    start: Instant,
    drawn: Instant,
}

impl Reporter {
    /// For that many epochs of samples that are called `unit`, of which that is measured.
    pub(super) fn new(progress: Progress, epochs: usize, unit: &'static str, measured: &[Measured]) -> Self {
        let percents = measured.iter().filter(|m| m.in_percent).map(|m| m.name.clone()).collect();
        let live = progress == Progress::Auto && std::io::stdout().is_terminal();
        let now = Instant::now();
        let silent = progress == Progress::Silent;
        Self { silent, live, epochs, unit, percents, epoch: 0, steps: 0, bar: None, start: now, drawn: now }
    }

    /// An epoch of that many steps begins, or of as many as come.
    pub(super) fn epoch_begin(&mut self, epoch: usize, steps: Option<usize>) {
        (self.epoch, self.steps) = (epoch, steps.unwrap_or(0));
        self.start = Instant::now();
        if self.live {
            let bar = ProgressBar::with_draw_target(steps.map(|steps| steps as u64), ProgressDrawTarget::stdout());
            let known = "{prefix} {bar:24} {pos}/{len}  {msg}  ETA {eta}";
            let template = if steps.is_some() { known } else { "{prefix} {spinner} {pos}  {msg}" };
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(format!("Epoch {epoch}/{}", self.epochs));
            self.bar = Some(bar);
        }
    }

    /// A step is done. Cheap: the bar is drawn a few times a second.
    pub(super) fn step_done(&mut self, step: usize, totals: &Totals) -> Result<(), TrainError> {
        self.steps = self.steps.max(step);
        let Some(bar) = &self.bar else { return Ok(()) };
        let is_last = bar.length() == Some(step as u64);
        if self.drawn.elapsed() < REDRAW && !is_last {
            return Ok(());
        }
        self.drawn = Instant::now();
        let rate = totals.samples() as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let values = values(totals.so_far()?.values(), &self.percents);
        bar.set_message(format!("{values}  {rate:.0} {}/s", self.unit));
        bar.set_position(step as u64);
        Ok(())
    }

    /// An epoch is done: its line stays.
    pub(super) fn epoch_done(&mut self, record: &EpochRecord) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let shown = record.values.iter().filter(|(name, _)| !is_rate(name));
        let values = values(shown.map(|(name, value)| (name.as_str(), *value)), &self.percents);
        let (steps, unit) = (self.steps, self.unit);
        let (rate, seconds) = (record.samples_per_second, record.seconds);
        let of = self.epochs;
        self.note(&format!("Epoch {}/{of}  {steps} steps  {values}  {rate:.0} {unit}/s  {seconds:.1} s", record.epoch));
    }

    /// A line of its own.
    pub(super) fn note(&self, line: &str) {
        if !self.silent {
            // Nobody reads a closed standard output; training goes on all the same.
            drop(writeln!(std::io::stdout().lock(), "{line}"));
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn values<'a>(values: impl Iterator<Item = (&'a str, f64)>, percents: &[String]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let gap = if text.is_empty() { "" } else { "  " };
        let in_percent = percents.iter().any(|percent| percent == name);
        // Writing to a string does not fail.
        let _ = write!(text, "{gap}{name} {}", Shown { value, in_percent });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_a_line() {
        let shown = [("loss", 0.25), ("val_accuracy", 0.9831)].into_iter();
        assert_eq!(values(shown, &["val_accuracy".into()]), "loss 0.2500  val_accuracy 98.31 %");
    }
}
