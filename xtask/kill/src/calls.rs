//! One task of a writer: calls at random on the keys that are its own, one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use strata::{Error, ErrorKind, Store, Transaction};

use crate::model::{Level, Numbered, Place, for_level};
use crate::protocol::{Change, How, Line};

/// How long a task waits after a call that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

struct Own {
    place: Place,
    next: i64,
    /// Whether the key has a record, as far as this task knows.
    is_there: bool,
}

pub(crate) struct Caller {
    store: Store,
    /// The number of the next call, of all tasks.
    calls: Arc<AtomicU64>,
    random: fastrand::Rng,
    own: Vec<Own>,
}

impl Caller {
    /// A task with its keys, the next number of each, and whether it has a record.
    pub(crate) fn new(store: Store, calls: Arc<AtomicU64>, random: fastrand::Rng, places: Vec<(Place, i64, bool)>) -> Self {
        let own = places.into_iter().map(|(place, next, is_there)| Own { place, next, is_there }).collect();
        Caller { store, calls, random, own }
    }

    /// Never ends but with an error.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            let (how, changes) = self.choose();
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            Line::Begun(call, how, changes.clone()).tell()?;
            match make(&self.store, how, &changes).await {
                Ok(()) => {
                    Line::Acknowledged(call).tell()?;
                    for change in changes {
                        if let Some(own) = self.own.iter_mut().find(|own| own.place == change.place) {
                            own.is_there = !change.deletes;
                        }
                    }
                }
                Err(error) => {
                    Line::Failed(call, error.to_string()).tell()?;
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
            if self.random.bool() {
                tokio::time::sleep(Duration::from_micros(self.random.u64(..4_000))).await;
            }
        }
    }

    /// What is called next.
    fn choose(&mut self) -> (How, Vec<Change>) {
        let first = self.random.usize(..self.own.len());
        let own = &self.own[first];
        let others = |fits: &dyn Fn(&Own) -> bool| -> Vec<usize> {
            (0..self.own.len()).filter(|other| *other != first && fits(&self.own[*other])).collect()
        };
        // Whether writes of `set_many` reach the truth together is said of pending ones alone.
        let is_kept = matches!(own.place.level, Level::Memory | Level::Journal);
        let (how, second) = match self.random.u32(..100) {
            0..12 => (How::Transaction, self.random.choice(others(&|_| true))),
            12..20 if is_kept => (How::Many, self.random.choice(others(&|other| other.place.level == own.place.level))),
            20..32 if own.is_there => (How::Update, None),
            _ => (How::Single, None),
        };
        let deletes = [first].into_iter().chain(second).map(|index| {
            let can_delete = matches!(how, How::Single | How::Transaction);
            (index, can_delete && self.random.u32(..100) < 20)
        });
        let deletes: Vec<(usize, bool)> = deletes.collect();
        let changes = deletes.into_iter().map(|(index, deletes)| {
            let own = &mut self.own[index];
            own.next += 1;
            Change { place: own.place, number: own.next - 1, deletes }
        });
        (how, changes.collect())
    }
}

async fn make(store: &Store, how: How, changes: &[Change]) -> Result<(), Error> {
    let Some(&first) = changes.first() else { return Ok(()) };
    for_level!(first.place.level, Model => match how {
        How::Single if first.deletes => store.collection::<Model>()?.delete(first.place.key).await.map(drop),
        How::Single => store.collection::<Model>()?.set(Model::numbered(first.place.key, first.number)).await.map(drop),
        How::Many => {
            let models: Vec<Model> = changes.iter().map(|change| Model::numbered(change.place.key, change.number)).collect();
            store.collection::<Model>()?.set_many(models).await.map(drop)
        }
        How::Update => {
            let updated = store.collection::<Model>()?.update(first.place.key, |model| model.renumber(first.number)).await?;
            updated.map(drop).ok_or_else(|| Error::new(ErrorKind::NotFound, "there was no record to update"))
        }
        How::Transaction => store.transaction(async |transaction| change_all(transaction, changes).await).await,
    })
}

async fn change_all(transaction: &mut Transaction, changes: &[Change]) -> Result<(), Error> {
    for change in changes {
        let key = change.place.key;
        for_level!(change.place.level, Model => match change.deletes {
            true => transaction.delete::<Model>(key).await.map(drop)?,
            false => transaction.set(Model::numbered(key, change.number)).await.map(drop)?,
        });
    }
    Ok(())
}
