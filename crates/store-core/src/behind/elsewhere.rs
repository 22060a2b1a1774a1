//! What is known here of the journals of other instances.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::coherence::Coherence;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::Journals;
use crate::freshness::PendingPlace;
use crate::sync::{Mutex, PoisonError};

/// How often another instance's journal is asked for.
const PAUSE: Duration = Duration::from_millis(20);
/// Beyond so many journals all are forgotten; that costs a question.
const MOST_KNOWN: usize = 1_000;

/// How far the journals of instances are known to be applied, and seen by the caches of this one.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    journals: Option<Arc<dyn Journals>>,
    /// The instance's own.
    own: Option<String>,
    seen: Mutex<HashMap<String, u64>>,
}

impl Elsewhere {
    pub(crate) fn new(journals: Option<Arc<dyn Journals>>, own: Option<String>) -> Self {
        Elsewhere { journals, own, seen: Mutex::new(HashMap::new()) }
    }

    /// Whether what was pending there is seen here: because it is pending in this very instance, or was flushed and heard of.
    pub(crate) fn has_seen(&self, place: &PendingPlace) -> bool {
        if self.own.as_deref() == Some(place.journal.as_str()) {
            return true;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&place.journal).is_some_and(|applied| *applied >= place.sequence)
    }

    /// Waits until what was pending on another instance is flushed, and the caches of this one have heard of it.
    pub(crate) async fn wait(&self, place: &PendingPlace, coherence: &Coherence, limit: Duration) -> Result<()> {
        let began = tokio::time::Instant::now();
        while !self.has_seen(place) {
            let applied = match &self.journals {
                Some(journals) => journals.applied(&place.journal).await?.map_or(0, |applied| applied.sequence),
                None => 0,
            };
            if applied >= place.sequence {
                coherence.poll().await?;
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.len() >= MOST_KNOWN {
                    seen.clear();
                }
                seen.insert(place.journal.clone(), applied);
                return Ok(());
            }
            if began.elapsed() >= limit {
                let message = format!(
                    "a write that the session's token tells of is still pending on the instance that took it, after {limit:?}; read there, or try again later"
                );
                return Err(Error::new(ErrorKind::PendingElsewhere, message));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
