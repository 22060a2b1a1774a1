//! Tags of records: which a copy has, and whether one of them was invalidated since the copy's load began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;

use super::read::Found;
use super::slots::Verdict;
use super::{Backing, Borrowed, Pipeline};
use crate::coherence::{Epochs, Era, KnownTagEras, TagVerdict, Trust};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Fetched, LogKind, Records, Shelf, TagEras};
use crate::notes::Notes;
use crate::record::{EncodedRecord, Record};
use crate::schema::{Schema, SchemaDefinition};
use crate::tag::{self, CallTags};
use crate::tier::Role;
use crate::value::{Row, Value};
use crate::verification::KeyEvent;

/// The generation of a slot that was loaded without knowing which is the present one. None is called so, as they are drawn at random, and 0 stands for what was
/// written.
const NO_GENERATION: u64 = 1;

/// What a pipeline knows of tags.
#[derive(Debug)]
pub(crate) struct Tags {
    /// The positions of the columns that are tags.
    columns: Vec<usize>,
    epochs: Epochs,
    known: KnownTagEras,
    /// Whether a loader has brought a record with tags, and one without.
    loaded_with: AtomicBool,
    loaded_without: AtomicBool,
}

impl Tags {
    pub(super) fn new(schema: &SchemaDefinition) -> Self {
        let columns: Vec<usize> = (0..schema.columns().len()).filter(|&position| schema.columns()[position].is_tag).collect();
        let loaded_with = AtomicBool::new(!columns.is_empty());
        Tags { columns, epochs: Epochs::default(), known: KnownTagEras::default(), loaded_with, loaded_without: AtomicBool::default() }
    }

    /// Whether the era has to be known before a loader is asked.
    pub(super) fn are_loaded(&self) -> bool {
        // As long as it has seen neither, a process asks: the first record might have tags.
        self.loaded_with.load(Ordering::Relaxed) || !self.loaded_without.load(Ordering::Relaxed)
    }
}

/// What a load or a write notes of tags before it reads or writes anything.
#[derive(Debug, Clone)]
pub(super) struct Tagging {
    /// Those that the collection gives.
    given: CallTags,
    stamp: u64,
}

impl Tagging {
    /// With other tags, of a call that came later.
    pub(super) fn with(&self, given: &CallTags) -> Self {
        Tagging { given: given.clone(), ..*self }
    }

    /// When it began, among the invalidations of tags that the instance has heard of.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }
}

impl<T: Schema> Pipeline<T> {
    /// To be called before a load or a write reads or writes anything.
    pub(super) fn begin_tagging(&self, given: &CallTags) -> Tagging {
        Tagging { given: given.clone(), stamp: self.tags.epochs.stamp() }
    }

    /// What is noted of a copy in memory, by its row and by what was noted of the record that it is made of.
    pub(super) fn near_notes(&self, row: &[Value<'_>], notes: Option<Arc<Notes>>, tagging: &Tagging) -> Option<Arc<Notes>> {
        let mut notes = self.with_tags(row, notes, &tagging.given)?;
        if !notes.tags.is_empty() {
            Arc::make_mut(&mut notes).stamp = tagging.stamp;
        }
        Some(notes)
    }

    /// What is noted of a copy in the shared tier whose load or write began after `era` was read, by its row and by what was noted before.
    pub(super) fn shared_notes(&self, row: &[Value<'_>], notes: Option<Arc<Notes>>, given: &CallTags, era: Era) -> Option<Arc<Notes>> {
        let mut notes = self.with_tags(row, notes, given)?;
        let noted = Arc::make_mut(&mut notes);
        (noted.era, noted.generation) = (era.number, era.generation);
        Some(notes)
    }

    /// Adds to what is noted of a record the tags that its row has, and those that are given.
    pub(super) fn with_tags(&self, row: &[Value<'_>], notes: Option<Arc<Notes>>, given: &CallTags) -> Option<Arc<Notes>> {
        if self.tags.columns.is_empty() && given.is_empty() {
            return notes;
        }
        let columns = self.schema.definition().columns();
        let of_fields = self.tags.columns.iter().filter_map(|&position| tag::of_value(columns[position].name, &row[position]));
        let mut lacking: Vec<String> = of_fields.chain(given.iter().cloned()).collect();
        if let Some(notes) = &notes {
            lacking.retain(|tag| !notes.tags.contains(tag));
        }
        lacking.sort_unstable();
        lacking.dedup();
        if lacking.is_empty() {
            return notes;
        }
        let mut notes = notes.unwrap_or_default();
        Arc::make_mut(&mut notes).tags.append(&mut lacking);
        Some(notes)
    }

    /// Whether no tag of memory's entry was invalidated since its load or write began.
    pub(crate) fn holds(&self, record: &Record<T>) -> bool {
        record.notes().is_none_or(|notes| self.tags.epochs.holds(&notes.tags, notes.stamp))
    }

    /// Whether none of these tags was invalidated since what was stamped so.
    pub(super) fn holds_since(&self, tags: &CallTags, stamp: u64) -> bool {
        self.tags.epochs.holds(tags.as_slice(), stamp)
    }

    /// Whether memory's entry has the tags that a read gives. What memory is the truth of has none, and needs none.
    pub(super) fn has_tags(&self, record: &Record<T>, given: &CallTags) -> bool {
        given.are_in(record.notes().map(|notes| &**notes)) || matches!(self.backing, Backing::Memory(_))
    }

    /// Whether memory's entry holds, and would if it had the tags that a read gives.
    pub(super) fn holds_with(&self, record: &Record<T>, given: &CallTags) -> bool {
        let stamp = record.notes().map_or(0, |notes| notes.stamp);
        self.holds(record) && (given.is_empty() || self.tags.epochs.holds(given.as_slice(), stamp))
    }

    /// As it was noted, with the tags that other calls gave the entry whose place the record is about to take: they were answered from that entry.
    ///
    /// What the slot of a cache holds may be older than an invalidation before that entry, so it is left with the tags that it has.
    pub(super) fn united(&self, key: &Borrowed<T>, tagging: &Tagging, tier: Role) -> Tagging {
        if tier == Role::Shared && self.cache.is_some() {
            return tagging.clone();
        }
        let present = self.near.as_ref().and_then(|near| near.get(key)).filter(|record| self.holds(record));
        let given = present.map(|record| tagging.given.with(&self.given_tags(&record)));
        Tagging { given: given.unwrap_or_else(|| tagging.given.clone()), ..*tagging }
    }

    /// Takes an entry that does not hold out of memory. No load is voided: what has come meanwhile stays.
    pub(crate) fn drop_void(&self, near: &dyn Shelf<T>, key: &Borrowed<T>) {
        let drop_void = || {
            if near.get(key).is_some_and(|record| !self.holds(&record)) {
                near.remove(key);
            }
        };
        self.fences.install(self.fences.begin(key), drop_void);
    }

    /// The tags that a call gave memory's entry, for a load that takes its place.
    pub(super) fn given_tags(&self, record: &Record<T>) -> CallTags {
        let Some(notes) = record.notes().filter(|notes| !notes.tags.is_empty()) else { return CallTags::default() };
        record.model().to_row().map_or_else(|_| CallTags::default(), |row| self.given_among(&row, notes))
    }

    /// The tags that a call gave a copy: those that are not of its fields.
    fn given_among(&self, row: &[Value<'_>], notes: &Notes) -> CallTags {
        let of_fields = self.with_tags(row, None, &CallTags::default());
        let is_of_field = |tag: &&String| of_fields.as_ref().is_some_and(|of_fields| of_fields.tags.contains(tag));
        CallTags::new(notes.tags.iter().filter(|tag| !is_of_field(tag)).cloned())
    }

    /// Hears that a tag was invalidated: entries with it are void, and no reader from here on joins a load that began before.
    pub(super) fn hear_tag(&self, tag: &str) {
        self.note(None, KeyEvent::Heard(LogKind::InvalidateTag, None));
        self.tags.epochs.raise(tag);
        self.void_tagged_queries(tag);
        self.forget_all_flights();
    }

    /// Judges slots for a read that gives these tags. Those of tagged records too, of which the shared tier is asked where this instance knows too little.
    pub(super) async fn judge_all(
        &self,
        cache: &dyn Records,
        trust: &Trust,
        texts: &[String],
        fetched: Vec<Fetched>,
        given: &CallTags,
    ) -> Vec<Verdict> {
        let verdicts: Vec<Verdict> = texts.iter().zip(fetched).map(|(text, fetched)| self.judge(trust, text, fetched, given)).collect();
        let Some(first) = verdicts.iter().position(|verdict| matches!(verdict, Verdict::Tagged(..))) else { return verdicts };
        let open = |verdict: &Verdict| match verdict {
            Verdict::Tagged(found, ..) => found.notes.clone(),
            _ => None,
        };
        let mut tags: Vec<String> = verdicts.iter().filter_map(open).flat_map(|notes| notes.tags.clone()).collect();
        tags.sort_unstable();
        tags.dedup();
        match cache.tag_eras(&self.schema, &texts[first], &tags).await {
            Ok(Some(told)) => self.tags.known.learn(&tags, &told),
            // The relayer begins a new generation then.
            Ok(None) => {}
            Err(error) => self.tolerate(Role::Shared, "the shared tier did not tell of invalidated tags; asking the truth", &error),
        }
        let settle = |verdict| match verdict {
            Verdict::Tagged(found, record, era) => match self.tag_verdict(found, record, era) {
                Verdict::Tagged(..) => Verdict::Missed,
                settled => settled,
            },
            other => other,
        };
        verdicts.into_iter().map(settle).collect()
    }

    /// Judges the tags of a slot's record. `present` is the era of the mark that was read before it.
    pub(super) fn judge_tags(&self, trust: &Trust, found: Found, record: EncodedRecord, present: Era, given: &CallTags) -> Verdict {
        // What an older build cached lacks the tags of fields that were declared since.
        let notes = self.with_tags(&found.stored.row, found.notes, &CallTags::default());
        let found = Found { notes, ..found };
        if !given.are_in(found.notes.as_deref()) {
            let others = found.notes.as_ref().map(|notes| self.given_among(&found.stored.row, notes));
            return Verdict::Lacking(record, present, others.unwrap_or_default());
        }
        // Of what this instance has heard, the shared tier may not have been told yet.
        match found.notes.iter().flat_map(|notes| &notes.tags).all(|tag| trust.admits_tag(tag)) {
            true => self.tag_verdict(found, record, present),
            false => Verdict::Missed,
        }
    }

    fn tag_verdict(&self, found: Found, record: EncodedRecord, present: Era) -> Verdict {
        match self.tags.known.judge(found.notes.as_deref(), present) {
            TagVerdict::Holds => Verdict::Found(found),
            TagVerdict::Void => Verdict::Dead(record, present),
            TagVerdict::Unknown => Verdict::Tagged(found, record, present),
        }
    }

    /// Takes out what was loaded into the shared tier as its truth, and has a tag that was invalidated since.
    pub(super) async fn without_void(
        &self,
        records: &dyn Records,
        keys: &[String],
        found: Vec<Option<Found>>,
    ) -> Result<Vec<Option<Found>>> {
        let judged = keys.iter().zip(found).map(|(key, found)| async move {
            let Some(found) = found else { return Ok(None) };
            let holds = match &found.notes {
                Some(notes) => self.tags_hold(records, key, notes).await?,
                None => true,
            };
            Ok(holds.then_some(found))
        });
        try_join_all(judged).await
    }

    /// The era to stamp a record with that is about to be loaded into the shared tier as its truth.
    pub(super) async fn begin_era(&self, records: &dyn Records, key: &str) -> Result<Era> {
        let era = |told: TagEras| Era { generation: told.generation, number: told.era };
        if let Some(told) = records.tag_eras(&self.schema, key, &[]).await? {
            return Ok(era(told));
        }
        // Makes the lists that are missing.
        records.invalidate_tags(&self.schema, &[]).await?;
        let told = records.tag_eras(&self.schema, key, &[]).await?;
        told.map(era).ok_or_else(|| {
            Error::new(ErrorKind::L2Unavailable, "the shared tier lost its list of tags as soon as it was made").with_tier(Role::Shared)
        })
    }

    /// What is noted of a loaded record, or of an absence, in its slot. Where the era before its load is not known, only the process that loaded it believes it.
    pub(super) fn loaded_notes_of(&self, row: Option<&Row<'_>>, notes: Arc<Notes>, era: Option<Era>) -> Arc<Notes> {
        let mut notes = match row {
            Some(row) => self.with_tags(row, Some(notes), &CallTags::default()).unwrap_or_default(),
            None => notes,
        };
        if notes.tags.is_empty() {
            // That there is nothing says nothing of what tags there are.
            if row.is_some() {
                self.tags.loaded_without.store(true, Ordering::Relaxed);
            }
        } else {
            self.tags.loaded_with.store(true, Ordering::Relaxed);
            let era = era.unwrap_or(Era { generation: NO_GENERATION, number: 0 });
            let noted = Arc::make_mut(&mut notes);
            (noted.era, noted.generation) = (era.number, era.generation);
        }
        notes
    }

    /// Whether none of the tags of a loaded record, of which the shared tier is the truth, was invalidated since its load began.
    pub(super) async fn tags_hold(&self, records: &dyn Records, key: &str, notes: &Notes) -> Result<bool> {
        // What was written there is no copy, and has no generation.
        if notes.tags.is_empty() || notes.generation == 0 {
            return Ok(true);
        }
        let told = records.tag_eras(&self.schema, key, &notes.tags).await?;
        Ok(told.is_some_and(|told| told.generation == notes.generation && told.of.iter().all(|era| *era <= notes.era)))
    }
}
