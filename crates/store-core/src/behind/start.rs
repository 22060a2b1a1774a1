//! Beginning, with what an earlier store left in the journal.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use xxhash_rust::xxh3::xxh3_64;

use super::flush::{Flushes, applied};
use super::flusher;
use super::journal::{Left, name_of_damaged};
use super::{Behind, Entry, Forgotten, Journal, Landing, Order, Overlay, Room, Trouble, WriteBehind};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{AppliedPlace, DeadLetter, Journals, Tables};
use crate::settings::Settings;
use crate::sync::{Mutex, PoisonError};

/// A write-behind that is about to begin.
pub(crate) struct Opened {
    pub(crate) behind: Arc<Behind>,
    landing: Option<Landing>,
    left: Left,
}

/// Opens the journal, if there is one, and reads what the truth does not have of it.
pub(crate) async fn open(settings: &Settings, tables: Arc<dyn Tables>, journals: Arc<dyn Journals>, runtime: &Handle) -> Result<Opened> {
    let (journal, landing) = match &settings.journal {
        Some(directory) => {
            let (journal, landing) = open_journal(settings, directory, &*tables, &*journals, runtime).await?;
            (Some(journal), Some(landing))
        }
        None => (None, None),
    };
    let name = journal.as_ref().map_or_else(unheard_of, |journal| journal.name().to_owned());
    let mut behind = Behind {
        settings: settings.write_behind.clone(),
        tables,
        journals,
        name,
        journal,
        runtime: runtime.clone(),
        clock: Arc::clone(&settings.clock),
        limit: settings.transaction_timeout,
        order: Mutex::new(Order::default()),
        room: Room::new(settings.write_behind.max_pending),
        signals: Arc::default(),
        flushing: tokio::sync::Mutex::new(Flushes::default()),
        schemas: OnceLock::new(),
        trouble: Mutex::new(Trouble::default()),
        tasks: OnceLock::new(),
    };
    let mut left = Vec::new();
    if let Some(journal) = &behind.journal {
        let applied = behind.applied().await?;
        check(applied, journal, runtime).await?;
        left = journal.left(runtime, applied.sequence).await?;
        let last =
            AppliedPlace { sequence: journal.last(), checksum: left.last().map_or(applied.checksum, |(_, entry)| Some(xxh3_64(entry))) };
        behind.order.get_mut().unwrap_or_else(PoisonError::into_inner).last = last;
        let flushes = behind.flushing.get_mut();
        flushes.covered = if left.is_empty() { last.sequence } else { applied.sequence };
        flushes.applied = applied.sequence;
    }
    Ok(Opened { behind: Arc::new(behind), landing, left })
}

/// Opens the journal. What is damaged of it and the truth has applied is not missed, nor what the settings give up.
async fn open_journal(
    settings: &Settings,
    directory: &Path,
    tables: &dyn Tables,
    journals: &dyn Journals,
    runtime: &Handle,
) -> Result<(Journal, Landing)> {
    let WriteBehind { journal_bytes, skip_damage_up_to, .. } = settings.write_behind;
    let damaged = match Journal::open(runtime, directory, journal_bytes, None).await {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let Some(name) = name_of_damaged(&damaged) else { return Err(damaged) };
    tracing::error!(error = %damaged, "the journal is damaged; it is asked how far the truth has applied it");
    let applied = applied(tables, journals, &name, settings.transaction_timeout).await?.sequence;
    let opened = Journal::open(runtime, directory, journal_bytes, Some(applied.max(skip_damage_up_to))).await?;
    if opened.0.name() != name {
        return Err(Error::new(ErrorKind::JournalUnavailable, "the journal was replaced while it was being opened; build the store again"));
    }
    if skip_damage_up_to > applied {
        tracing::error!(
            applied,
            skip_damage_up_to,
            "what is damaged of the journal and the truth has not applied is given up, as `write_behind.skip_damage_up_to` says"
        );
    } else {
        tracing::warn!(applied, "what is damaged of the journal was applied long ago, so nothing is lost; the disk may be failing");
    }
    Ok(opened)
}

/// A name that no journal has.
fn unheard_of() -> String {
    let random = RandomState::new();
    format!("memory-{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

async fn check(place: AppliedPlace, journal: &Journal, runtime: &Handle) -> Result<()> {
    let applied = place.sequence;
    if applied > journal.last() {
        let message = format!(
            "the journal ends at {}, but the truth has applied it up to {applied}: it was replaced by an older copy, or its end is damaged. Begin a new journal in another directory",
            journal.last()
        );
        return Err(Error::new(ErrorKind::InvalidConfig, message));
    }
    let checksum = journal.checksum(runtime, applied).await?;
    if place.checksum.is_some() && checksum.is_some() && place.checksum != checksum {
        let message = format!(
            "the truth has applied other writes up to {applied} of a journal of this number: the directory was copied, and the copy and its original were both in use. Which of the \
             writes here the truth lacks, nobody can tell: begin a new journal in another directory"
        );
        return Err(Error::new(ErrorKind::InvalidConfig, message));
    }
    if applied.saturating_add(1) < journal.first() {
        tracing::error!(
            applied,
            first = journal.first(),
            "the truth has applied less of the journal than was given free: it was restored from an older copy, or is another; what the journal still holds is applied"
        );
    }
    Ok(())
}

impl Opened {
    /// The schemas that the journal holds writes of.
    pub(crate) fn schemas(&self) -> HashSet<String> {
        self.left.iter().filter_map(|(_, bytes)| Some(Entry::decode(bytes).ok()?.schema.into_owned())).collect()
    }

    /// Makes pending what the journal holds, and starts the tasks.
    pub(crate) fn start(self, overlays: &[Arc<dyn Overlay>]) -> Result<()> {
        let behind = Arc::clone(&self.behind);
        let landing = self.restore(overlays)?;
        let mut tasks = vec![behind.runtime.spawn(flusher::run(Arc::downgrade(&behind), Arc::clone(&behind.signals))).abort_handle()];
        if let Some(landing) = landing {
            tasks.push(behind.runtime.spawn(landing.run(Arc::downgrade(&behind))).abort_handle());
        }
        let _ = behind.tasks.set(tasks);
        Ok(())
    }

    /// Makes pending what the journal holds.
    pub(super) fn restore(self, overlays: &[Arc<dyn Overlay>]) -> Result<Option<Landing>> {
        let Opened { behind, landing, left } = self;
        // Nobody else has set it.
        let _ = behind.schemas.set(overlays.iter().map(Arc::downgrade).collect());
        for (sequence, bytes) in left {
            if let Err((error, entry)) = restore(overlays, sequence, &bytes) {
                let (schema, key) = entry.map(|entry| (entry.schema.into_owned(), entry.key.into_owned())).unwrap_or_default();
                tracing::error!(schema, key, %error, "the journal holds a write that this build cannot make; it becomes a dead letter");
                let letter = DeadLetter {
                    journal: behind.name.clone(),
                    sequence,
                    schema,
                    key,
                    error: error.summary(),
                    failed_at: behind.now()?,
                    entry: bytes,
                };
                behind.order().letters.push(letter);
                behind.room.force(1);
            }
        }
        if behind.dirty() > 0 {
            tracing::info!(pending = behind.dirty(), "the journal holds writes that the truth does not have; they are flushed");
            behind.signals.dirty();
            behind.hurry();
        }
        Ok(landing)
    }
}

fn restore<'a>(overlays: &[Arc<dyn Overlay>], sequence: u64, bytes: &'a [u8]) -> Result<(), (Error, Option<Box<Entry<'a>>>)> {
    if let Some(Forgotten { schema, key }) = Forgotten::decode(bytes).map_err(|error| (error, None))? {
        // Without the schema, or with another key, the writes that it is about are dead letters themselves.
        if let Some(overlay) = overlays.iter().find(|overlay| overlay.schema().name() == schema) {
            let _ = overlay.forget_base(&key);
        }
        return Ok(());
    }
    let entry = Entry::decode(bytes).map_err(|error| (error, None))?;
    let Some(overlay) = overlays.iter().find(|overlay| overlay.schema().name() == entry.schema) else {
        let message = "the store has no such schema; add it to the builder, and retry the dead letter";
        return Err((Error::new(ErrorKind::SchemaNotFound, message), Some(Box::new(entry))));
    };
    overlay.restore(entry.clone(), sequence).map_err(|error| (error, Some(Box::new(entry))))
}
