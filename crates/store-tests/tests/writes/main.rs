//! Writes of a store: in every mode, alone, in batches and in transactions, and what outlives a fault.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod behind;
mod bulk;
mod closing;
mod conditional;
mod given_up;
mod hooks;
mod restarts;
mod transactions;
