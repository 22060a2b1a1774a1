//! How far a long command has come: a bar on a terminal, else lines.

use std::fmt::Write;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Event, Level, Metadata, Subscriber};

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
            // The end is for the answer to tell.
            if total == Some(done) {
                return;
            }
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

/// Runs a migration, and shows each of its steps when it begins. Where the program listens to events itself, they are its own.
pub(crate) async fn of_migration<T>(work: impl Future<Output = T>, output: &Output) -> T {
    if !tracing::dispatcher::get_default(|present| present.is::<NoSubscriber>()) {
        return work.await;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    let show = |step: String| {
        if bar.is_hidden() {
            output.warn(&step);
        } else {
            bar.set_message(step);
            bar.reset_elapsed();
        }
    };
    let (steps, mut begun) = unbounded_channel();
    // Of the statements of a file there may be many: a line for each would be too much.
    let finest = if bar.is_hidden() { Level::INFO } else { Level::DEBUG };
    let mut work = std::pin::pin!(work.with_subscriber(Steps { finest, steps }));
    let outcome = loop {
        let step = std::pin::pin!(begun.recv());
        match select(&mut work, step).await {
            Either::Left((outcome, _)) => break outcome,
            Either::Right((step, _)) => step.into_iter().for_each(&show),
        }
    };
    while let Ok(step) = begun.try_recv() {
        show(step);
    }
    bar.finish_and_clear();
    outcome
}

/// Listens to what the tiers say of migrations.
struct Steps {
    finest: Level,
    steps: UnboundedSender<String>,
}

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.finest && metadata.target().starts_with("tier_")
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let _ = self.steps.send(format!("{}{}", said.message, said.fields));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name} {value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Printed;

    #[test]
    fn the_end_is_told_by_the_answer_alone() {
        let told = Printed::default();
        let output = Output::new(false, Printed::default(), told.clone());
        let mut progress = Progress::new("are done", &output);
        progress.at(2, Some(2));
        assert_eq!(told.text(), "");
        progress.at(1, Some(2));
        assert_eq!(told.text(), "1 of 2 are done\n");
    }
}
