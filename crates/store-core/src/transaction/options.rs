//! How a transaction runs.

use std::time::Duration;

use crate::facet::Isolation;

/// How a transaction runs. `Default` is what [`Store::transaction`](crate::Store::transaction) uses.
///
/// ```
/// use std::time::Duration;
/// use store_core::{Isolation, TransactionOptions};
///
/// let options = TransactionOptions {
///     isolation: Isolation::Serializable,
///     limit: Some(Duration::from_secs(5)),
///     retries: 3,
/// };
/// assert_eq!(TransactionOptions::default().retries, 0);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct TransactionOptions {
    /// How far it is kept apart from others. Default: [`ReadCommitted`](Isolation::ReadCommitted).
    pub isolation: Isolation,
    /// The most time from its beginning until its commit, all its runs together. Default: [`transaction_timeout`](crate::Settings::transaction_timeout).
    pub limit: Option<Duration>,
    /// How often the work is run again, a moment later, if the truth rolled the transaction back because of others: a serialization failure, a deadlock.
    /// Default: 0.
    pub retries: u32,
}
