//! The powers that a tier may have.

mod log;
mod near;
mod records;
mod tables;

pub use log::{BULK_LOG_LIMIT, Log, LogBatch, LogCursor, LogEntry, LogKind};
pub use near::{EvictionCause, Near, NearTier, NoNear, OnEvict, Shelf, ShelfOptions, Weigher};
pub use records::{Fill, FillLease, Records, Slot};
pub use tables::{Count, Select, Tables};
