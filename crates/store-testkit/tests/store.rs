//! The store as its users see it: whole stacks of tiers, their promises and their errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod store {
    mod bad_input;
    mod batches;
    mod behind;
    mod breakers;
    mod bulk;
    mod cached_queries;
    mod caches;
    mod checks;
    mod closing;
    mod codecs;
    mod coherence;
    mod conditional;
    mod encryption;
    mod environment;
    mod given_up;
    mod health;
    mod hooks;
    mod loaders;
    mod migrations;
    mod models;
    mod noted;
    mod outages;
    mod outside;
    mod outside_writers;
    mod pages;
    mod pools;
    mod processes;
    mod queries;
    mod records;
    mod redis_faults;
    mod remedies;
    mod replicas;
    mod restarts;
    mod stacks;
    mod stale;
    mod stampedes;
    mod tables;
    mod times;
    mod transactions;
    mod unreadable;
    mod upgrades;
    mod verification;
    mod views;
}
