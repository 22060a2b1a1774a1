//! What the tests of whole stores share: stacks of tiers on storage of their own, models to store in them, and processes to kill.

#![allow(missing_docs, clippy::missing_panics_doc, reason = "each name says what it is to the tests beside it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod models;
pub mod noted;
pub mod processes;
pub mod stacks;
pub mod waiting;
