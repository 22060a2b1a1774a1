//! What is printed.

use crate::library::Calls;
use crate::race::{CASES, Case, Outcome};
use crate::versions;

pub(crate) fn heading() {
    println!("A load of \"old\" has begun. It is overtaken, and ends. What does the next read answer?\n");
    println!("{:<16}  {:<7}  {:<18}  answer", "library", "version", "case");
}

pub(crate) fn line(library: &str, case: Case, outcome: &Outcome) {
    let answer = match outcome {
        Outcome::Fresh => "fresh".to_owned(),
        Outcome::Stale => "STALE".to_owned(),
        Outcome::Failed(error) => format!("not run: {error:#}"),
    };
    println!("{library:<16}  {:<7}  {:<18}  {answer}", versions::of(library), case.name());
}

/// Says what the cases and answers mean.
pub(crate) fn cases() {
    println!(
        "\nSTALE: the read after the load answers \"old\", although the source had \"new\" and the cache had been told before the load ended."
    );
    println!("Each cache was first seen to keep what a load brings that nothing overtakes. The cases:");
    for case in CASES {
        println!("  {:<18}  {}", case.name(), case.description());
    }
}

/// Says what was called.
pub(crate) fn calls(libraries: &[Calls]) {
    println!("\nWhat was called:");
    for calls in libraries {
        println!("  {} ({})", calls.library, calls.set_up);
        println!(
            "    read: {}; invalidate: {}; write: {}; invalidate all: {}",
            calls.read, calls.invalidate, calls.write, calls.invalidate_all
        );
    }
}
