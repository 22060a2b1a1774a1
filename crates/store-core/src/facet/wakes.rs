//! Messages that wake the followers of the log before their next poll.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::error::Result;
use crate::version::Version;

use super::LogKind;

/// What one instance tells the others after a commit.
///
/// ```
/// use store_core::Version;
/// use store_core::facet::{LogKind, Wake};
///
/// let wake = Wake { schema: "city".into(), key: Some("7".into()), kind: LogKind::Put, version: Some(Version::new(3)), origin: Some(0x1f) };
/// assert!(!wake.is_from_outside());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// The schema's name.
    pub schema: String,
    /// The key's text form, or the tag of [`InvalidateTag`](LogKind::InvalidateTag); `None` for the whole schema.
    pub key: Option<String>,
    /// What happened.
    pub kind: LogKind,
    /// The version that the write drew, where the sender knows it.
    pub version: Option<Version>,
    /// The store that sent it; `None` for another program.
    pub origin: Option<u64>,
}

impl Wake {
    /// Whether another program sent it. It has written nothing to the log, so the message itself is all that there is to follow.
    pub fn is_from_outside(&self) -> bool {
        self.origin.is_none()
    }
}

/// What a listener hears.
///
/// ```
/// use store_core::facet::Heard;
///
/// fn polls_the_log(heard: &Heard) -> bool {
///     match heard {
///         Heard::Wake(wake) => !wake.is_from_outside(),
///         Heard::Changed => true,
///     }
/// }
/// assert!(polls_the_log(&Heard::Changed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message of an instance or another program.
    Wake(Wake),
    /// Something may have been committed: the tier cannot say what, or its connection is new and messages may be lost.
    Changed,
}

/// Messages between the instances of a store.
///
/// They are hints: a message may be lost, doubled or late, and only a follower's own poll of the [`Log`](super::Log) renews its freshness lease.
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Tier, facet::Wakes};
/// # use store_testkit::ModelRecords;
///
/// fn wakes_of(tier: Arc<dyn Tier>) -> Option<Arc<dyn Wakes>> {
///     tier.facets().wakes
/// }
/// # let redis = ModelRecords::new();
/// assert!(wakes_of(Arc::new(redis)).is_some());
/// ```
#[async_trait]
pub trait Wakes: Debug + Send + Sync {
    /// Sends messages. A tier whose listeners notice commits by themselves sends nothing.
    ///
    /// # Errors
    ///
    /// The tier's `…Unavailable` kind, [`Timeout`](crate::ErrorKind::Timeout) or [`AccessDenied`](crate::ErrorKind::AccessDenied).
    async fn publish(&self, wakes: &[Wake]) -> Result<()>;

    /// Everything that is heard from now on, own messages included. The stream outlives lost connections (it tells of each new one as
    /// [`Heard::Changed`]) and ends when the tier is closed. Dropping it stops listening.
    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard>;
}
