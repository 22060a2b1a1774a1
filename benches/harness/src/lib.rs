//! How the benchmarks measure and report.
//!
//! A [`Case`] sets Strata beside a baseline. [`by_turns`] lets both sides work in turn, round after round in one run, so that whatever else the machine does slows both. The
//! round with the median ratio is the result, and its two readings stand beside the ratio. [`Report`] prints the rows for people and writes them for programs.

mod case;
mod report;
mod row;
mod turns;

pub use case::{Case, Kind};
pub use report::Report;
pub use row::Row;
pub use turns::{Rounds, Turns, by_turns};
