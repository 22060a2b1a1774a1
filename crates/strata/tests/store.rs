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
    mod loaders;
    mod models;
    #[cfg(all(feature = "redis", feature = "pg"))]
    mod outages;
    #[cfg(feature = "pg")]
    mod outside;
    #[cfg(all(feature = "redis", feature = "pg"))]
    mod outside_writers;
    mod pages;
    mod queries;
    mod records;
    #[cfg(feature = "redis")]
    mod redis_faults;
    #[cfg(feature = "pg")]
    mod replicas;
    mod stacks;
    #[cfg(feature = "pg")]
    mod stale;
    #[cfg(all(feature = "redis", feature = "pg"))]
    mod stampedes;
    #[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
    mod times;
    mod unreadable;
    mod verification;
    mod views;
}
