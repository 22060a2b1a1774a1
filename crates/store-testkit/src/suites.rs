//! The conformance suites: what every tier with a facet must do, told by the sentences of the facet's contract.

pub mod journals;
pub mod log;
pub mod near;
pub mod records;
pub mod tables;
pub mod transactions;
mod truth;

pub use truth::TruthDatabase;
