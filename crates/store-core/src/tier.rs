//! What every storage tier is, and what it may be able to do.

use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::facet::{Log, Near, Records, Tables};

/// What a tier is for. Roles order the stack: reads go down it, writes come up it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// L1: memory of this process.
    Near,
    /// L2: a cache that several processes share.
    Shared,
    /// L3: the tier of truth.
    Truth,
    /// L4: the signed ledger.
    Ledger,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Near => "L1 (near)",
            Role::Shared => "L2 (shared)",
            Role::Truth => "L3 (truth)",
            Role::Ledger => "L4 (ledger)",
        })
    }
}

/// One level of storage.
///
/// A tier's powers are its [`Facets`]: a facet that is present works, and there is no call that a tier must refuse at run time
/// because it lacks the power.
#[async_trait]
pub trait Tier: Debug + Send + Sync + 'static {
    /// The name for logs and messages, such as `"redis"`; never an address or a credential.
    fn name(&self) -> &str;

    /// The place in the stack.
    fn role(&self) -> Role;

    /// The powers of this tier, as data, so that a wrapper takes it apart whole and a new facet breaks its build.
    fn facets(self: Arc<Self>) -> Facets;

    /// Asks the backend for a sign of life, within the tier's own time limits.
    ///
    /// # Errors
    ///
    /// The tier's `…Unavailable` kind, [`Timeout`](crate::ErrorKind::Timeout) or [`AccessDenied`](crate::ErrorKind::AccessDenied).
    async fn ping(&self) -> Result<()>;

    /// Releases connections and background tasks. Calling it again does nothing.
    ///
    /// # Errors
    ///
    /// What the backend said while it shut down; resources are released all the same.
    async fn close(&self) -> Result<()>;
}

/// The optional powers of a tier. Presence is the capability.
#[derive(Debug, Clone, Default)]
pub struct Facets {
    /// Typed shelves in this process.
    pub near: Option<Arc<dyn Near>>,
    /// Encoded records by key, with slots and fill leases.
    pub records: Option<Arc<dyn Records>>,
    /// Rows in SQL tables.
    pub tables: Option<Arc<dyn Tables>>,
    /// The log of commits.
    pub log: Option<Arc<dyn Log>>,
}
