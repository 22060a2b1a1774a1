//! How far a long command has come: a bar on a terminal, else a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// How often a line is printed where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// It ends with its drop.
pub(crate) struct Progress<'a> {
    bar: ProgressBar,
    output: &'a Output,
    what: &'static str,
    told: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// `what` is done, such as `records are encrypted`.
    pub(crate) fn new(what: &'static str, output: &'a Output) -> Self {
        Progress { bar: ProgressBar::no_length(), output, what, told: None }
    }

    /// `total`: if it is known.
    pub(crate) fn at(&mut self, done: u64, total: Option<u64>) {
        if self.bar.is_hidden() {
            if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
                self.told = Some(Instant::now());
                let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
                self.output.warn(&format!("{done}{of} {}", self.what));
            }
            return;
        }
        let template =
            if total.is_some() { "{wide_bar} {pos}/{len} {msg}, {per_sec}, {eta} left" } else { "{spinner} {pos} {msg}, {per_sec}" };
        if self.told.is_none() {
            self.told = Some(Instant::now());
            self.bar.set_message(self.what);
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
