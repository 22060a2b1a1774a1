//! What every storage tier is, and what it may be able to do.

use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;

use crate::diagnosis::Finding;
use crate::error::Result;
use crate::facet::{Journals, Log, Migrations, Near, Records, Tables, Wakes};

/// What a tier is for. Roles order the stack: reads go down it, writes come up it.
///
/// ```
/// use store_core::Role;
///
/// assert!(Role::Near < Role::Shared && Role::Shared < Role::Truth);
/// assert_eq!(Role::Shared.to_string(), "L2 (shared)");
/// ```
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
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Facets, Finding, Result, Role, Tier};
/// # use store_testkit::ModelRecords;
///
/// /// A tier under a name of its own, for a program with two Redis servers.
/// #[derive(Debug)]
/// struct Named(&'static str, Arc<dyn Tier>);
///
/// #[async_trait::async_trait]
/// impl Tier for Named {
///     fn name(&self) -> &str {
///         self.0
///     }
///
///     fn role(&self) -> Role {
///         self.1.role()
///     }
///
///     fn facets(self: Arc<Self>) -> Facets {
///         Arc::clone(&self.1).facets()
///     }
///
///     async fn ping(&self) -> Result<()> {
///         self.1.ping().await
///     }
///
///     async fn diagnose(&self) -> Vec<Finding> {
///         self.1.diagnose().await
///     }
///
///     async fn close(&self) -> Result<()> {
///         self.1.close().await
///     }
/// }
///
/// # let redis = ModelRecords::new();
/// let sessions = Named("session-redis", Arc::new(redis));
/// assert_eq!(sessions.role(), Role::Shared);
/// ```
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

    /// Looks at the backend with the eyes of somebody who sets it up: its version, clock, distance, rights and settings. What keeps it from looking is a
    /// finding too. It changes nothing. A tier without a backend finds nothing.
    async fn diagnose(&self) -> Vec<Finding>;

    /// Releases connections and background tasks. Calling it again does nothing.
    ///
    /// # Errors
    ///
    /// What the backend said while it shut down; resources are released all the same.
    async fn close(&self) -> Result<()>;
}

#[async_trait]
impl<T: Tier + ?Sized> Tier for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn role(&self) -> Role {
        (**self).role()
    }

    fn facets(self: Arc<Self>) -> Facets {
        Arc::clone(&*self).facets()
    }

    async fn ping(&self) -> Result<()> {
        (**self).ping().await
    }

    async fn diagnose(&self) -> Vec<Finding> {
        (**self).diagnose().await
    }

    async fn close(&self) -> Result<()> {
        (**self).close().await
    }
}

/// The optional powers of a tier. Presence is the capability.
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Facets, Tier};
/// # use store_testkit::ModelRecords;
///
/// # let redis = ModelRecords::new();
/// let Facets { near, records, tables, migrations, log, journals, wakes } = Arc::new(redis).facets();
/// assert!(records.is_some());
/// assert!(near.is_none() && tables.is_none() && migrations.is_none() && log.is_none() && journals.is_none() && wakes.is_some());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Facets {
    /// Typed shelves in this process.
    pub near: Option<Arc<dyn Near>>,
    /// Encoded records by key, with slots and fill leases.
    pub records: Option<Arc<dyn Records>>,
    /// Rows in SQL tables.
    pub tables: Option<Arc<dyn Tables>>,
    /// Bringing those tables to what the models ask for. A tier that has it has `tables`.
    pub migrations: Option<Arc<dyn Migrations>>,
    /// The log of commits.
    pub log: Option<Arc<dyn Log>>,
    /// How far journals were applied, and what was refused of them. A tier that has it has `tables`.
    pub journals: Option<Arc<dyn Journals>>,
    /// Messages between instances.
    pub wakes: Option<Arc<dyn Wakes>>,
}
