//! Conformance suites, fault injection and a manual clock for Strata tiers

#[cfg(feature = "suites")]
mod clock;
#[cfg(feature = "suites")]
mod fault;
#[cfg(feature = "suites")]
pub mod models;
#[cfg(feature = "suites")]
mod records_model;
#[cfg(feature = "servers")]
pub mod servers;
#[cfg(feature = "suites")]
pub mod suites;

#[cfg(feature = "suites")]
pub use clock::ManualClock;
#[cfg(feature = "suites")]
pub use fault::{Fault, FaultTier, Faults, Hold, Operation};
#[cfg(feature = "suites")]
pub use records_model::{ModelCopy, ModelRecords};
