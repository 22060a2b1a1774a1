//! What a person watching sees. Everything goes to standard error, so that standard output is left
//! to what another program may read.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Tells what happens.
pub(crate) fn note(text: &str) {
    eprintln!("  {text}");
}

pub(crate) fn step_begins(name: &str, command: &str) {
    eprintln!("==> {name}: {command}");
}

pub(crate) fn step_ends(name: &str, took: Duration) {
    eprintln!("    {name} ok in {}", seconds(took));
}

pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        long => format!("{} min {:02} s", long / 60, long % 60),
    }
}

pub(crate) fn is_terminal() -> bool {
    stderr().is_terminal()
}

/// Shows that something is under way; on a terminal only.
pub(crate) fn spinner(text: &str) -> ProgressBar {
    if !is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(text.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(seconds(Duration::from_millis(1230)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
