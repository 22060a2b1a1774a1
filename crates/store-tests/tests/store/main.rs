//! The store as its users see it: whole stacks of tiers, their promises and their errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod breakers;
mod caches;
mod checks;
mod environment;
mod health;
mod outages;
mod outside;
mod pools;
mod records;
mod remedies;
mod times;
mod unreadable;
