//! What each cache answers after a load that was overtaken by an invalidation or a write.
//!
//! `cargo xtask bench races` builds and runs it. The exit code is 1 if Strata answers what it was told is old, and 0 otherwise.

mod libraries;
mod library;
mod race;
mod source;
mod table;
mod versions;

use std::process::ExitCode;

use libraries::{Foyer, Moka, MultiTierCache, Oxcache, QuickCache, Strata};
use library::Library;
use race::{CASES, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    table::heading();
    compare::<Moka>().await;
    compare::<QuickCache>().await;
    compare::<Foyer>().await;
    compare::<MultiTierCache>().await;
    compare::<Oxcache>().await;
    let strata = compare::<Strata>().await;

    table::cases();
    table::calls(&[Moka::CALLS, QuickCache::CALLS, Foyer::CALLS, MultiTierCache::CALLS, Oxcache::CALLS, Strata::CALLS]);
    match strata.iter().all(|outcome| matches!(outcome, Outcome::Fresh)) {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("error: Strata did not answer the new value in every case");
            ExitCode::FAILURE
        }
    }
}

/// Runs every case against a library, and prints a line for each as it ends.
async fn compare<L: Library>() -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for case in CASES {
        let outcome = race::run::<L>(case).await;
        table::line(L::CALLS.library, case, &outcome);
        outcomes.push(outcome);
    }
    outcomes
}
