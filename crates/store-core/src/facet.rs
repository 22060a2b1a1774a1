//! The powers that a tier may have.

mod caller;
mod condition;
mod journals;
mod log;
mod mark;
mod migrations;
mod near;
mod records;
mod slot_state;
mod tables;
mod tags;
mod transaction;
mod wakes;

pub use caller::Caller;
pub use condition::{Condition, Touched};
pub use journals::{AppliedPlace, DeadLetter, Journals};
pub use log::{BULK_LOG_LIMIT, Log, LogBatch, LogCursor, LogEntry, LogKind};
pub use mark::{Fetched, Mark, Relay, Removal};
pub use migrations::{Migrations, MissingIndex};
pub use near::{EvictionCause, Near, NearTier, NoNear, OnEvict, Shelf, ShelfOptions, Weigher};
pub use records::{Fill, FillLease, PutOver, Records, Seen, Slot};
pub use slot_state::SlotState;
pub use tables::{Count, ReadPreference, Select, Tables};
pub use tags::{MOST_TAGS, TagEras, TagInvalidation};
pub(crate) use transaction::limit_passed;
pub use transaction::{Begin, Isolation, RowLock, Transaction, TransactionState};
pub use wakes::{Heard, Wake, Wakes};
