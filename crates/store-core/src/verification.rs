//! What the verifier of caches has found.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::facet::LogKind;
use crate::tier::Role;
use crate::version::Version;

/// How many inconsistencies are kept in full.
const MOST_RECENT: usize = 32;

/// What the verifier of a store has found since it was built; see [`Settings::verify`](crate::Settings::verify).
///
/// ```
/// use store_core::Store;
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # #[schema(cache_only)]
/// # struct Session {
/// #     #[schema(primary_key)]
/// #     id: String,
/// #     user: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// let builder = Store::builder().tier(redis).schema::<Session>();
/// let store = builder.configure(|settings| settings.verify = 0.001).build().await?;
/// let verification = store.verification();
/// println!("{} of {} copies were inconsistent", verification.inconsistent, verification.checked);
/// assert_eq!(verification.ratio(), 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// Copies in memory and in the shared tier that were compared with the truth.
    pub checked: u64,
    /// Those that the truth had overtaken for longer than the freshness bound, or that differed from the row of their version.
    pub inconsistent: u64,
    /// The latest of them, oldest first.
    pub recent: Vec<Inconsistency>,
}

impl Verification {
    /// Which part of the checked copies was inconsistent, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        if self.checked == 0 { 0.0 } else { self.inconsistent as f64 / self.checked as f64 }
    }
}

/// A copy that a cache would have answered though the truth said otherwise.
///
/// ```
/// fn told(found: &store_core::Inconsistency) -> String {
///     format!("{} {} in {}: {:?}, truth {:?}, {:?}", found.schema, found.key, found.tier, found.cached, found.truth, found.events)
/// }
/// # let _ = told;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inconsistency {
    /// The schema's name.
    pub schema: &'static str,
    /// The key's text form.
    pub key: String,
    /// Where the copy was.
    pub tier: Role,
    /// Its version; `None` where the cache knew the record to be absent.
    pub cached: Option<Version>,
    /// The version that the truth had had for longer than the freshness bound; `None` where it had no record.
    pub truth: Option<Version>,
    /// What this instance's memory last did with the key, oldest first, and how long before the copy was found.
    pub events: Vec<(Duration, KeyEvent)>,
}

/// What an instance's memory did with a key.
///
/// ```
/// use store_core::{KeyEvent, Version};
///
/// let events = [KeyEvent::Installed(Version::new(3)), KeyEvent::Dropped];
/// assert_ne!(events[0], events[1]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEvent {
    /// It heard of a commit, from the log or from another instance, with the version where that was told.
    Heard(LogKind, Option<Version>),
    /// It took in a record that was loaded.
    Installed(Version),
    /// It did not take in a record that was loaded, because something had overtaken the load.
    Refused(Version),
    /// This instance wrote the record.
    Written(Version),
    /// It dropped its copy on this instance's own account: a deletion, an invalidation, a write with an unknown outcome.
    Dropped,
}

/// Where the verifiers of all schemas report to.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    checked: u64,
    inconsistent: u64,
    recent: VecDeque<Inconsistency>,
}

impl Findings {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_checked(&self) {
        self.lock().checked += 1;
    }

    pub(crate) fn add(&self, found: Inconsistency) {
        let mut kept = self.lock();
        kept.inconsistent += 1;
        if kept.recent.len() == MOST_RECENT {
            kept.recent.pop_front();
        }
        kept.recent.push_back(found);
    }

    pub(crate) fn view(&self) -> Verification {
        let kept = self.lock();
        Verification { checked: kept.checked, inconsistent: kept.inconsistent, recent: kept.recent.iter().cloned().collect() }
    }
}
