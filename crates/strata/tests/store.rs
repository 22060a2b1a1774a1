//! The store as its users see it: whole stacks of tiers, their promises and their errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store {
    mod bad_input;
    mod batches;
    mod breakers;
    mod caches;
    mod checks;
    mod closing;
    mod codecs;
    mod coherence;
    mod environment;
    mod health;
    mod models;
    #[cfg(all(feature = "redis", feature = "pg"))]
    mod outages;
    #[cfg(feature = "pg")]
    mod outside;
    mod pages;
    mod queries;
    mod records;
    mod stacks;
    #[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
    mod times;
    mod unreadable;
    mod verification;
    mod views;
}
