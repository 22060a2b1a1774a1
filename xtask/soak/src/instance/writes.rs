//! The ways in which an instance writes items.

use std::sync::atomic::Ordering;

use anyhow::Result;
use strata::{Error, ErrorKind};

use super::{AFTER_FAILURE, Instance};
use crate::history::{Event, Promise, Way, now};
use crate::model::{DEAF, FIRST, Item, SECOND, SLOW_COMMIT};

/// A write that has begun; number 0 is a deletion.
#[derive(Debug, Clone, Copy)]
struct Begun {
    key: u64,
    number: u64,
    at: u64,
}

impl Instance {
    pub(crate) async fn put(&self, key: u64) -> Result<()> {
        self.write(key, self.next_number()).await
    }

    /// Writes in a transaction that takes long to commit.
    pub(crate) async fn put_slowly(&self, key: u64) -> Result<()> {
        self.write(key, self.next_number() | SLOW_COMMIT).await
    }

    /// Writes on a server that answers too late, and commits all the same.
    pub(crate) async fn put_deafly(&self, key: u64) -> Result<()> {
        self.write(key, self.next_number() | DEAF).await
    }

    pub(crate) async fn delete(&self, key: u64) -> Result<()> {
        self.write(key, 0).await
    }

    async fn write(&self, key: u64, number: u64) -> Result<()> {
        let begun = self.begin(key, number)?;
        let version = match number {
            0 => self.items.delete(key as i64).await.map(|_| 0),
            _ => self.items.set(item(begun)).await.map(|record| record.version().get()),
        };
        match version {
            Ok(version) => self.acknowledge(begun, version, Way::Alone),
            Err(_) => self.fail_writes(&[begun]).await,
        }
    }

    /// Writes different keys in one batch.
    pub(crate) async fn put_many(&self, keys: impl IntoIterator<Item = u64>) -> Result<()> {
        let begun: Vec<Begun> = keys.into_iter().map(|key| self.begin(key, self.next_number())).collect::<Result<_>>()?;
        match self.items.set_many(begun.iter().copied().map(item)).await {
            Ok(stored) => {
                begun.iter().zip(stored).try_for_each(|(begun, record)| self.acknowledge(*begun, record.version().get(), Way::Batch))
            }
            Err(_) => self.fail_writes(&begun).await,
        }
    }

    /// Writes if nothing is there.
    pub(crate) async fn insert(&self, key: u64) -> Result<()> {
        let begun = self.begin(key, self.next_number())?;
        match self.items.insert_only(item(begun)).await {
            Ok(record) => {
                self.note_seen(begun, 0)?;
                self.acknowledge(begun, record.version().get(), Way::Insert)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => self.never(begun),
            Err(_) => self.fail_writes(&[begun]).await,
        }
    }

    /// Writes in the place of what is there.
    pub(crate) async fn update(&self, key: u64) -> Result<()> {
        let begun = self.begin(key, self.next_number())?;
        let mut of = 0;
        let updated = self.items.update(key as i64, |item| {
            of = item.number.unsigned_abs();
            item.number = begun.number as i64;
        });
        match updated.await {
            Ok(Some(record)) => {
                self.note_seen(begun, of)?;
                self.acknowledge(begun, record.version().get(), Way::Update { of })
            }
            Ok(None) => {
                self.note_seen(begun, 0)?;
                self.never(begun)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => self.never(begun),
            Err(_) => self.fail_writes(&[begun]).await,
        }
    }

    /// Writes a key and the next one in a transaction, which is rolled back if so chosen.
    pub(crate) async fn put_pair(&self, key: u64, is_rolled_back: bool) -> Result<()> {
        let number = self.next_number();
        let begun = [self.begin(key, number | FIRST)?, self.begin(key + 1, number | SECOND)?];
        let work = self.store.transaction(async |tx| {
            let stored = [tx.set(item(begun[0])).await?, tx.set(item(begun[1])).await?];
            if is_rolled_back {
                return Err(Error::new(ErrorKind::Refused, "it is rolled back on purpose"));
            }
            Ok(stored.map(|record| record.version().get()))
        });
        match work.await {
            Ok(versions) => {
                begun.into_iter().zip(versions).try_for_each(|(begun, version)| self.acknowledge(begun, version, Way::Transaction))
            }
            Err(error) if error.kind() == ErrorKind::Refused => begun.into_iter().try_for_each(|begun| self.never(begun)),
            Err(_) => self.fail_writes(&begun).await,
        }
    }

    /// Reads a key and the next one in a transaction.
    pub(crate) async fn read_pair(&self, key: u64) -> Result<()> {
        let began = now();
        match self.store.transaction(async |tx| tx.get_many::<Item>([key as i64, key as i64 + 1]).await).await {
            Ok(found) => {
                let at = now();
                let numbers: Vec<u64> = found.iter().map(|item| item.as_ref().map_or(0, |item| item.number.unsigned_abs())).collect();
                let [first, second] = numbers[..] else { return Ok(()) };
                for (key, number) in [(key, first), (key + 1, second)] {
                    self.journal.write(Event::Read { key, number, version: 0, began, at, promise: Promise::Latest })?;
                }
                self.journal.write(Event::Pair { key, first, second, began, at })
            }
            Err(_) => self.fail().await,
        }
    }

    /// Deletes what a condition holds for.
    pub(crate) async fn delete_where(&self, from: u64, to: u64) -> Result<()> {
        let begun: Vec<Begun> = (from..=to).map(|key| self.begin(key, 0)).collect::<Result<_>>()?;
        match self.items.delete_where(Item::id().between(from as i64, to as i64)).await {
            Ok(keys) => begun
                .iter()
                .try_for_each(|begun| self.acknowledge(*begun, 0, Way::Condition { touched: keys.contains(&(begun.key as i64)) })),
            Err(_) => self.fail_writes(&begun).await,
        }
    }

    /// Gives what a condition holds for one number.
    pub(crate) async fn update_where(&self, from: u64, to: u64) -> Result<()> {
        let number = self.next_number();
        let begun: Vec<Begun> = (from..=to).map(|key| self.begin(key, number)).collect::<Result<_>>()?;
        match self.items.update_where(Item::id().between(from as i64, to as i64), Item::number().set(number as i64)).await {
            Ok(keys) => begun.iter().try_for_each(|begun| match keys.contains(&(begun.key as i64)) {
                true => self.acknowledge(*begun, 0, Way::Condition { touched: true }),
                false => self.never(*begun),
            }),
            Err(_) => self.fail_writes(&begun).await,
        }
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, key: u64, number: u64) -> Result<Begun> {
        let at = now();
        self.journal.write(Event::Began { key, number, at })?;
        Ok(Begun { key, number, at })
    }

    fn acknowledge(&self, begun: Begun, version: u64, way: Way) -> Result<()> {
        let Begun { key, number, at: began } = begun;
        self.journal.write(Event::Acknowledged { key, number, began, at: now(), version, way })
    }

    fn never(&self, begun: Begun) -> Result<()> {
        let Begun { key, number, at: began } = begun;
        self.journal.write(Event::Never { key, number, began, at: now() })
    }

    /// Notes what a write found in the truth.
    fn note_seen(&self, begun: Begun, number: u64) -> Result<()> {
        let Begun { key, at: began, .. } = begun;
        self.journal.write(Event::Read { key, number, version: 0, began, at: now(), promise: Promise::Latest })
    }

    async fn fail_writes(&self, begun: &[Begun]) -> Result<()> {
        let at = now();
        begun.iter().try_for_each(|begun| {
            let Begun { key, number, at: began } = *begun;
            self.journal.write(Event::WriteFailed { key, number, began, at })
        })?;
        tokio::time::sleep(AFTER_FAILURE).await;
        Ok(())
    }
}

fn item(begun: Begun) -> Item {
    Item { id: begun.key as i64, number: begun.number as i64 }
}
