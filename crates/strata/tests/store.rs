//! The store as its users see it: whole stacks of tiers, their promises and their errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store {
    mod batches;
    mod caches;
    mod checks;
    mod closing;
    mod coherence;
    mod models;
    mod pages;
    mod queries;
    mod records;
    mod stacks;
    mod views;
}
