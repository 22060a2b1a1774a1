//! Storing what was loaded, and answering it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::known::{from_unix_milliseconds, unix_milliseconds};
use super::{LOADED, Landed, Pipeline, Wanted};
use crate::coherence::memory;
use crate::error::{Error, Result};
use crate::facet::{PutOver, Records, Seen, Shelf};
use crate::key::Key;
use crate::load::{Content, Load};
use crate::notes::{self, Notes};
use crate::pipeline::absent::Absence;
use crate::pipeline::read::Loaded;
use crate::pipeline::read_many::CHUNK;
use crate::pipeline::{Backing, Borrowed, View};
use crate::record::{EncodedRecord, Record, StoredRow};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::{Row, Value};
use crate::version::Version;

/// The longest that a value is kept beyond its end for the sake of its source tag.
const LONGEST_BEYOND: Duration = Duration::from_secs(24 * 60 * 60);

/// What a loader answered for one key, ready to be stored.
struct Prepared {
    /// `None` for an absence.
    row: Option<Row<'static>>,
    notes: Arc<Notes>,
    /// `None` for what is not kept.
    lives: Option<Lives>,
    /// For the slot.
    encoded: Option<EncodedRecord>,
}

/// How long something is fresh, and how long it is kept.
#[derive(Clone, Copy)]
struct Lives {
    /// `None` for ever.
    fresh: Option<Duration>,
    beyond: Duration,
}

impl Lives {
    fn fresh_until(self, now: SystemTime) -> Option<SystemTime> {
        now.checked_add(self.fresh?)
    }

    fn kept_until(self, now: SystemTime) -> Option<SystemTime> {
        self.fresh_until(now)?.checked_add(self.beyond)
    }
}

/// What became of a key's slot.
#[derive(Clone, Copy)]
enum Stored {
    As(Version),
    /// Somebody wrote or invalidated the key during the load.
    Overtaken,
    /// The shared tier was not told, or did not answer.
    Unknown,
}

impl<T: Schema> Pipeline<T> {
    /// Stores and answers what a loader said.
    pub(super) async fn keep(&self, records: Option<&dyn Records>, ready: Vec<Wanted<T>>, mut loads: HashMap<T::Key, Load<T>>) {
        let (mut prepared, mut failed) = (Vec::with_capacity(ready.len()), Vec::new());
        for wanted in ready {
            let load = loads.remove::<Borrowed<T>>(wanted.key.borrow()).unwrap_or_else(Load::absent);
            match self.prepare(&wanted, load) {
                Ok(load) => prepared.push((wanted, load)),
                Err(error) => failed.push((wanted, error)),
            }
        }
        let began = self.shared.settings.clock.monotonic();
        let stored = match records {
            Some(records) => self.put_over(records, &mut prepared).await,
            None => vec![Stored::Unknown; prepared.len()],
        };
        for ((wanted, load), stored) in prepared.into_iter().zip(stored) {
            self.land_loaded(wanted, load, stored, began);
        }
        if !failed.is_empty() {
            self.fail(records, failed).await;
        }
    }

    fn prepare(&self, wanted: &Wanted<T>, load: Load<T>) -> Result<Prepared> {
        let Load { content, source_tag, ttl, tags, is_kept } = load;
        let known = wanted.known.as_ref();
        let of_known = match &content {
            Content::NotModified => known.and_then(|known| known.record.notes()),
            Content::Value(_) | Content::Absent => None,
        };
        let row = match &content {
            Content::Absent => None,
            Content::Value(model) if model.key() != wanted.key => {
                let message =
                    format!("it answered a record of the key `{}`; answer the record of the key that was asked for", model.key().to_text());
                return Err(self.load_failed(message));
            }
            Content::Value(model) => Some(self.sealed(self.row_of(model)?.into_iter().map(Value::into_owned).collect())?),
            Content::NotModified => match known {
                Some(known) => Some(known.row.clone()),
                None => {
                    let message =
                        "it answered that the value has not been modified, but none was known; answer one where the loader is given none";
                    return Err(self.load_failed(message.to_owned()));
                }
            },
        };
        if let Some(tag) = tags.iter().flatten().find(|tag| tag.contains('\0')) {
            return Err(self.load_failed(format!("it gave the tag `{}`; a tag holds no NUL character", tag.escape_debug())));
        }
        let source_tag = source_tag.or_else(|| of_known.and_then(|notes| notes.source_tag.clone()));
        let tags = tags.or_else(|| of_known.map(|notes| notes.tags.clone())).unwrap_or_default();
        let fresh = match (ttl, of_known.and_then(|notes| notes.life_time)) {
            (Some(ttl), _) => Some(ttl),
            (None, Some(milliseconds)) => Some(Duration::from_millis(milliseconds)),
            (None, None) if row.is_none() => self.schema.negative_ttl(),
            (None, None) => self.usual_life().map(|life| self.shortened(life)),
        };
        // What is absent is remembered only where somebody says for how long.
        let is_kept = is_kept && fresh != Some(Duration::ZERO) && (row.is_some() || fresh.is_some());
        let beyond =
            fresh.map(|fresh| self.kept_beyond_end(fresh, row.is_some() && source_tag.is_some(), row.is_some())).unwrap_or_default();
        let lives = is_kept.then_some(Lives { fresh, beyond });
        let now = self.shared.settings.clock.now();
        let notes = Arc::new(Notes {
            tags,
            source_tag,
            fresh_until: lives.and_then(|lives| lives.fresh_until(now)).map(unix_milliseconds),
            is_absence: row.is_none(),
            is_loaded: true,
            life_time: fresh.map(|fresh| u64::try_from(fresh.as_millis()).unwrap_or(u64::MAX)),
            ..Notes::default()
        });
        let shared = self.loaded_notes_of(row.as_ref(), Arc::clone(&notes), wanted.era);
        let notes = match &row {
            Some(row) => self.near_notes(row, Some(notes), &wanted.tagging).unwrap_or_default(),
            None => notes,
        };
        let encoded = match (&self.backing, wanted.seen.is_some()) {
            (Backing::Records(_), true) => Some(self.encode_loaded(row.as_ref(), &shared, lives.map(|lives| lives.kept_until(now)))?),
            _ => None,
        };
        Ok(Prepared { row, notes, lives, encoded })
    }

    /// The record for a slot. `until` is when it leaves, `None` for one that is not kept.
    fn encode_loaded(&self, row: Option<&Row<'static>>, notes: &Notes, until: Option<Option<SystemTime>>) -> Result<EncodedRecord> {
        let Some(deadline) = until else { return Ok(self.nothing()) };
        let encoded = match row {
            Some(row) => self.encode(row, Version::default(), LOADED, Some(notes))?,
            None => EncodedRecord { payload: notes::join(Vec::new(), Some(notes))?, ..self.nothing() },
        };
        Ok(EncodedRecord { deadline, ..encoded })
    }

    /// How long what a loader brought lives if it says nothing else.
    fn usual_life(&self) -> Option<Duration> {
        match &self.backing {
            Backing::Memory(_) => self.schema.near_ttl(),
            Backing::Records(_) | Backing::Tables { .. } => self.schema.shared_ttl(),
        }
    }

    /// How long a value is kept beyond its end, to be compared with what the source has by then, or to be answered if the source fails.
    fn kept_beyond_end(&self, life: Duration, has_source_tag: bool, is_value: bool) -> Duration {
        let for_loader = if has_source_tag { life.min(LONGEST_BEYOND) } else { Duration::ZERO };
        let for_errors = self.shared.settings.stale_on_error.filter(|_| is_value).unwrap_or_default();
        for_loader.max(for_errors)
    }

    /// Stores what was loaded in those slots that still hold what was seen.
    async fn put_over(&self, records: &dyn Records, prepared: &mut [(Wanted<T>, Prepared)]) -> Vec<Stored> {
        let mut stored = vec![Stored::Unknown; prepared.len()];
        let mut puts = Vec::new();
        for (position, (wanted, load)) in prepared.iter_mut().enumerate() {
            if let Some((seen, record)) = wanted.seen.clone().zip(load.encoded.take()) {
                puts.push((position, PutOver { key: wanted.text.clone(), seen, record }));
            }
        }
        for chunk in puts.chunks(CHUNK) {
            let told: Vec<PutOver> = chunk.iter().map(|(_, put)| put.clone()).collect();
            match records.put_over(&self.schema, &told).await {
                Ok(versions) => {
                    for ((position, _), version) in chunk.iter().zip(versions) {
                        stored[*position] = version.map_or(Stored::Overtaken, Stored::As);
                    }
                }
                Err(error) => {
                    self.tolerate(Role::Shared, "the shared tier did not take what was loaded; it is kept in memory alone", &error)
                }
            }
        }
        stored
    }

    fn land_loaded(&self, wanted: Wanted<T>, load: Prepared, stored: Stored, put_began: Duration) {
        let version = match (&self.backing, stored) {
            (Backing::Memory(_), _) => wanted.version,
            (_, Stored::As(version)) => version,
            // It must not seem newer than a write that this instance may hear of, nor older than what it was loaded after.
            (_, Stored::Overtaken | Stored::Unknown) => wanted.known.as_ref().map(|known| known.record.version()).unwrap_or_default(),
        };
        let began = if matches!(stored, Stored::As(_)) { put_began } else { wanted.began };
        let Prepared { row, notes, lives, .. } = load;
        let Some(row) = row else {
            match (stored, lives) {
                (Stored::Overtaken, _) => self.forget_overtaken(&wanted),
                (_, Some(_)) => self.keep_absence(&wanted, &notes, began),
                (_, None) => {
                    self.remove_from_memory(&wanted);
                }
            }
            return wanted.land(None);
        };
        let (near, answer) = match self.records(StoredRow { row, version }, View::Near) {
            Ok(records) => records,
            Err(error) => return wanted.fail(error),
        };
        let end = notes.fresh_until.and_then(from_unix_milliseconds);
        let near = near.noted(Some(notes));
        self.forget_loaded_absence(wanted.key.borrow());
        match (stored, lives) {
            (Stored::Overtaken, _) => self.forget_overtaken(&wanted),
            (_, None) => {
                self.remove_from_memory(&wanted);
            }
            (_, Some(lives)) if matches!(self.backing, Backing::Memory(_)) => self.install_loaded(&wanted, near, lives),
            (_, Some(_)) => self.install(wanted.fence, wanted.key.clone(), near, end, began),
        }
        let began = wanted.began;
        wanted.land(Some(Loaded { record: answer, tier: Role::Truth, began, is_stale: false }));
    }

    /// Whether memory holds nothing that came after a load began, where memory is the truth. A load that began before a tag was invalidated stands in the way of no
    /// later one, which may end first. The fence is held.
    fn is_latest(&self, near: &dyn Shelf<T>, wanted: &Wanted<T>) -> bool {
        !matches!(self.backing, Backing::Memory(_)) || memory::takes_load(near.version(wanted.key.borrow()), wanted.version)
    }

    /// Installs where memory is the truth.
    fn install_loaded(&self, wanted: &Wanted<T>, record: Record<T>, lives: Lives) {
        let Some(near) = &self.near else { return };
        let end = lives.fresh.and_then(|fresh| self.shared.settings.clock.monotonic().checked_add(fresh));
        let record = record.expiring(end);
        let deadline = end.and_then(|end| end.checked_add(lives.beyond));
        let mut is_latest = false;
        self.fences.install(wanted.fence, || {
            is_latest = self.is_latest(&**near, wanted);
            if is_latest {
                near.install(wanted.key.clone(), record, deadline);
            }
        });
        if !is_latest {
            self.counters().fills_refused.add(1);
        }
    }

    /// Lets memory forget what it held before a load, unless a write or a later load came between. Returns whether there was no later load.
    pub(super) fn remove_from_memory(&self, wanted: &Wanted<T>) -> bool {
        let Some(near) = &self.near else { return true };
        let mut is_latest = true;
        self.fences.install(wanted.fence, || {
            is_latest = self.is_latest(&**near, wanted);
            if is_latest {
                near.remove(wanted.key.borrow());
            }
        });
        is_latest
    }

    /// Lets memory remember that the source has no value of a key, within the life time that the notes tell. `began` is when the slot was known to say so.
    pub(super) fn keep_absence(&self, wanted: &Wanted<T>, notes: &Notes, began: Duration) {
        if !self.remove_from_memory(wanted) {
            return;
        }
        let clock = &self.shared.settings.clock;
        let end = notes.fresh_until.and_then(from_unix_milliseconds);
        let left = end.map_or(Duration::MAX, |end| end.duration_since(clock.now()).unwrap_or_default());
        let mut end = clock.monotonic().saturating_add(left);
        if matches!(self.backing, Backing::Records(_)) {
            end = end.min(began.saturating_add(self.shared.settings.freshness));
        }
        let tags = CallTags::new(notes.tags.iter().cloned());
        self.remember_absence(wanted.key.clone(), Absence { fence: wanted.fence, end, tags, stamp: wanted.tagging.stamp() });
    }

    /// Lets memory forget a key that somebody wrote or invalidated during a load.
    fn forget_overtaken(&self, wanted: &Wanted<T>) {
        self.counters().fills_refused.add(1);
        self.forget_near(&wanted.key);
    }

    /// Ends flights with errors, and with what may be answered in their place. The slots that were leased to the loads are left empty.
    pub(super) async fn fail(&self, records: Option<&dyn Records>, mut failed: Vec<(Wanted<T>, Error)>) {
        let leased = failed.iter().filter_map(|(wanted, _)| match &wanted.seen {
            Some(seen @ Seen::Lease(_)) => Some(PutOver { key: wanted.text.clone(), seen: seen.clone(), record: self.nothing() }),
            _ => None,
        });
        let leased: Vec<PutOver> = leased.collect();
        if let Some(records) = records {
            for chunk in leased.chunks(CHUNK) {
                if let Err(error) = records.put_over(&self.schema, chunk).await {
                    self.tolerate(Role::Shared, "the shared tier did not take a lease back", &error);
                }
            }
        }
        let known = self.known_after_failure(records, &mut failed).await;
        for ((wanted, error), known) in failed.into_iter().zip(known) {
            let error = Arc::new(error.with_key(wanted.text.clone()));
            wanted.landing.land(Ok(Landed::Failed { error, known }));
        }
    }
}
