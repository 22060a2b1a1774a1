//! Applying the log of commits to the shared tier.
//!
//! Writers tell the shared tier of their writes themselves, but may die, or be cut off, before they do. The relayer removes what they left behind, and then
//! moves its mark. Several relayers at once do no harm, as each says no more than what it has done; they are elected to save work.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::tag_eras::{Eras, first_era};
use crate::error::{ErrorKind, Result};
use crate::facet::{Log, LogCursor, LogEntry, LogKind, Mark, Records, Relay, Removal};
use crate::pipeline::Follow;
use crate::schema::BoundSchema;
use crate::version::Version;

/// The relayer of a store's schemas.
#[derive(Debug)]
pub(super) struct Relayer {
    log: Arc<dyn Log>,
    cache: Arc<dyn Records>,
    schemas: Vec<Arc<BoundSchema>>,
}

/// Where the marks of one schema stand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every shard has one of this generation; this is the oldest of them.
    At(Mark),
    /// A shard has none, or they disagree: what the slots hold cannot be known, and a new generation begins.
    Lost,
}

/// Judges the marks that the shards hold of one schema. `covers` says whether the first place has passed the second.
pub(crate) fn standing(marks: &[Option<Mark>], covers: impl Fn(&LogCursor, &LogCursor) -> bool) -> Standing {
    let mut oldest: Option<&Mark> = None;
    for mark in marks {
        let Some(mark) = mark else { return Standing::Lost };
        oldest = match oldest {
            None => Some(mark),
            Some(known) if known.generation != mark.generation => return Standing::Lost,
            Some(known) if covers(&mark.position, &known.position) => Some(known),
            Some(known) if covers(&known.position, &mark.position) => Some(mark),
            Some(_) => return Standing::Lost,
        };
    }
    oldest.map_or(Standing::Lost, |mark| Standing::At(mark.clone()))
}

/// A number that no earlier generation had, but by a chance of one in 2⁶⁴.
fn new_generation() -> u64 {
    RandomState::new().hash_one(std::time::SystemTime::now())
}

/// A schema whose marks stand, with its generation and its lists of tags.
type Standings = Vec<(Arc<BoundSchema>, u64, Eras)>;

impl Relayer {
    /// `None` where no schema has both a log and a shared tier.
    pub(super) fn new(log: &Arc<dyn Log>, followed: &[Arc<dyn Follow>]) -> Option<Self> {
        let cache = followed.iter().find_map(|schema| schema.cache()).cloned()?;
        let schemas = followed.iter().filter(|schema| schema.cache().is_some() && schema.follows_log());
        Some(Relayer { log: Arc::clone(log), cache, schemas: schemas.map(|schema| Arc::clone(schema.schema())).collect() })
    }

    /// The marks of its schemas as they are, for each shard.
    pub(super) async fn marks(&self) -> Result<Vec<Vec<Option<Mark>>>> {
        self.cache.marks(&self.schemas).await
    }

    /// The schemas that it works for.
    pub(super) fn schemas(&self) -> &[Arc<BoundSchema>] {
        &self.schemas
    }

    /// Applies what was committed since the marks, for some of its schemas, and moves their marks. Whatever is left undone by a failure or by a dropped
    /// future, the next step does.
    pub(super) async fn step(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        let marks = self.cache.marks(schemas).await?;
        let mut lost = Vec::new();
        let mut groups: Vec<(LogCursor, Standings)> = Vec::new();
        for (schema, marks) in schemas.iter().zip(marks) {
            match (standing(&marks, |mark, place| self.log.covers(mark, place)), Eras::of(&marks)) {
                (Standing::Lost, _) | (_, None) => lost.push(Arc::clone(schema)),
                (Standing::At(mark), Some(eras)) => {
                    let member = (Arc::clone(schema), mark.generation, eras);
                    match groups.iter_mut().find(|(position, _)| *position == mark.position) {
                        Some((_, members)) => members.push(member),
                        None => groups.push((mark.position, vec![member])),
                    }
                }
            }
        }
        for (position, members) in groups {
            match self.log.read(&position).await {
                Ok(batch) if !batch.gap => self.relay(&batch.entries, &position, batch.cursor, members).await?,
                Ok(_) => lost.extend(members.into_iter().map(|(schema, ..)| schema)),
                Err(error) if error.kind() == ErrorKind::InvalidQuery => lost.extend(members.into_iter().map(|(schema, ..)| schema)),
                Err(error) => return Err(error),
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.begin_generation(lost).await
    }

    async fn relay(&self, entries: &[LogEntry], from: &LogCursor, to: LogCursor, members: Standings) -> Result<()> {
        if *from == to {
            return Ok(());
        }
        let mut relay = Relay::default();
        for (schema, generation, eras) in members {
            relay.removals.extend(removals(&schema, entries));
            let (told, era) = eras.advance(&schema, generation, entries);
            relay.tags.extend(told);
            relay.marks.push((schema, Mark { generation, era, position: to.clone() }));
        }
        self.cache.relay(&relay).await
    }

    /// Lets all present records count as misses.
    async fn begin_generation(&self, schemas: Vec<Arc<BoundSchema>>) -> Result<()> {
        let position = self.log.end().await?;
        let mut relay = Relay::default();
        for schema in schemas {
            let generation = new_generation();
            tracing::info!(schema = schema.name(), "the shared tier starts a new generation: its mark was lost, or the log before it");
            relay.tags.push(first_era(&schema, generation));
            relay.marks.push((schema, Mark { generation, era: 1, position: position.clone() }));
        }
        self.cache.relay(&relay).await
    }
}

/// Below which version an entry's key loses its record: only what is older than a known write goes; a deletion or an invalidation takes whatever is there.
pub(super) fn below(kind: LogKind, version: Version) -> Option<Version> {
    (kind == LogKind::Put).then_some(version)
}

/// What two entries of one key remove together.
pub(super) fn both(one: Option<Version>, other: Option<Version>) -> Option<Version> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// What the entries of one schema remove, each key once.
fn removals(schema: &Arc<BoundSchema>, entries: &[LogEntry]) -> Vec<Removal> {
    let own = || entries.iter().filter(|entry| entry.schema == schema.name() && entry.kind != LogKind::InvalidateTag);
    if own().any(|entry| entry.key.is_none()) {
        return vec![Removal { schema: Arc::clone(schema), key: None, below: None }];
    }
    let mut keys: HashMap<&str, Option<Version>> = HashMap::new();
    for entry in own() {
        let Some(key) = entry.key.as_deref() else { continue };
        let entry = below(entry.kind, entry.version);
        keys.entry(key).and_modify(|known| *known = both(*known, entry)).or_insert(entry);
    }
    keys.into_iter().map(|(key, below)| Removal { schema: Arc::clone(schema), key: Some(key.to_owned()), below }).collect()
}
