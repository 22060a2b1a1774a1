//! What becomes of models over time: migrations, tables, encryption and upgrades.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod codecs;
mod encryption;
mod migrations;
mod tables;
mod upgrades;
