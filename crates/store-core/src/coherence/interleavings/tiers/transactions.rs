//! Transactions of the truth, and what it keeps of journals.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use shuttle::future::yield_now;
use shuttle::rand::{Rng, thread_rng};
use tokio::sync::OwnedMutexGuard;

use super::{Content, PlainTables, integer, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{AppliedPlace, Condition, Count, DeadLetter, Journals, RowLock, Select, Touched, Transaction};
use crate::query::Filter;
use crate::record::StoredRow;
use crate::schema::BoundSchema;
use crate::sync::Mutex;
use crate::value::{Row, Value};
use crate::version::Version;

/// The only writer until it ends.
#[derive(Debug)]
struct PlainTransaction {
    content: Arc<Mutex<Content>>,
    fails: bool,
    _turn: OwnedMutexGuard<()>,
    begun_at: u64,
    changes: Vec<(i64, Option<i64>)>,
    savepoints: Vec<usize>,
    applied: Option<(String, AppliedPlace)>,
    letters: u64,
}

impl PlainTables {
    pub(super) async fn begin_plain(&self) -> Result<Box<dyn Transaction>> {
        let turn = Arc::clone(&self.writer).lock_owned().await;
        let begun_at = lock(&self.content).last;
        Ok(Box::new(PlainTransaction {
            content: Arc::clone(&self.content),
            fails: self.fails.load(Ordering::SeqCst),
            _turn: turn,
            begun_at,
            changes: Vec::new(),
            savepoints: Vec::new(),
            applied: None,
            letters: 0,
        }))
    }

    /// How many writes became dead letters.
    pub(crate) fn letters(&self) -> u64 {
        lock(&self.content).letters
    }

    /// The truth as a crash leaves it now, which is what is committed, and what else is seen at that moment.
    pub(crate) fn crashed<R>(&self, see: impl FnOnce() -> R) -> (PlainTables, R) {
        let content = lock(&self.content);
        let seen = see();
        let Content { last, rows, log, history, journals, letters } = &*content;
        let content = Content {
            last: *last,
            rows: rows.clone(),
            log: log.clone(),
            history: history.clone(),
            journals: journals.clone(),
            letters: *letters,
        };
        (PlainTables { content: Arc::new(Mutex::new(content)), ..PlainTables::default() }, seen)
    }
}

impl PlainTransaction {
    fn change(&mut self, key: i64, number: Option<i64>) -> Version {
        self.changes.push((key, number));
        Version::new(self.begun_at + self.changes.len() as u64)
    }

    fn row(&self, key: i64) -> Option<(i64, Version)> {
        let changed = self.changes.iter().enumerate().rev().find(|(_, (other, _))| *other == key);
        match changed {
            Some((at, &(_, number))) => number.map(|number| (number, Version::new(self.begun_at + 1 + at as u64))),
            None => lock(&self.content).rows.get(&key).copied(),
        }
    }

    fn stored(key: i64, number: i64, version: Version) -> StoredRow {
        StoredRow { row: vec![Value::Integer(key), Value::Integer(number)], version }
    }

    fn apply(&self) {
        let mut content = lock(&self.content);
        for &(key, number) in &self.changes {
            content.commit(key, number);
        }
        content.letters += self.letters;
        if let Some((journal, applied)) = &self.applied {
            content.journals.insert(journal.clone(), *applied);
        }
    }
}

fn away() -> Error {
    Error::new(ErrorKind::L3Unavailable, "the explorer chose this failure")
}

#[async_trait]
impl Transaction for PlainTransaction {
    async fn get_many(&mut self, _: &BoundSchema, keys: &[Row<'_>], _: RowLock) -> Result<Vec<Option<StoredRow>>> {
        let stored = |key: &Row<'_>| self.row(integer(&key[0])).map(|(number, version)| Self::stored(integer(&key[0]), number, version));
        Ok(keys.iter().map(stored).collect())
    }

    async fn put_many(&mut self, _: &BoundSchema, rows: &[Row<'_>]) -> Result<Vec<StoredRow>> {
        yield_now().await;
        let put = |row: &Row<'_>| {
            let (key, number) = (integer(&row[0]), integer(&row[1]));
            Self::stored(key, number, self.change(key, Some(number)))
        };
        Ok(rows.iter().map(put).collect())
    }

    async fn put_many_if(&mut self, _: &BoundSchema, rows: &[Row<'_>], conditions: &[Condition]) -> Result<Vec<Option<StoredRow>>> {
        yield_now().await;
        let put = |(row, condition): (&Row<'_>, &Condition)| {
            let (key, number) = (integer(&row[0]), integer(&row[1]));
            let holds = condition.holds(self.row(key).map(|(_, version)| version));
            holds.then(|| Self::stored(key, number, self.change(key, Some(number))))
        };
        Ok(rows.iter().zip(conditions).map(put).collect())
    }

    async fn delete_many(&mut self, _: &BoundSchema, keys: &[Row<'_>]) -> Result<Vec<Option<Version>>> {
        yield_now().await;
        let delete = |key: &Row<'_>| {
            let key = integer(&key[0]);
            self.row(key).is_some().then(|| self.change(key, None))
        };
        Ok(keys.iter().map(delete).collect())
    }

    async fn delete_where(&mut self, _: &BoundSchema, _: &Filter) -> Result<Vec<Touched>> {
        unreachable!("nobody deletes by condition")
    }

    async fn update_where(&mut self, _: &BoundSchema, _: &Row<'_>, _: &Filter) -> Result<Vec<Touched>> {
        unreachable!("nobody updates by condition")
    }

    async fn advance_journal(&mut self, journal: &str, from: u64, to: AppliedPlace) -> Result<bool> {
        let noted = lock(&self.content).journals.get(journal).map_or(0, |applied| applied.sequence);
        let advances = noted <= from.min(to.sequence);
        if advances {
            self.applied = Some((journal.to_owned(), to));
        }
        Ok(advances)
    }

    async fn put_dead_letter(&mut self, _: &DeadLetter) -> Result<()> {
        self.letters += 1;
        Ok(())
    }

    async fn remove_dead_letter(&mut self, _: &str, _: u64) -> Result<bool> {
        unreachable!("nobody retries one")
    }

    async fn select(&mut self, _: &BoundSchema, _: &Select) -> Result<Vec<StoredRow>> {
        unreachable!("nobody searches")
    }

    async fn count(&mut self, _: &BoundSchema, _: &Count) -> Result<u64> {
        unreachable!("nobody counts")
    }

    async fn check_deferred(&mut self) -> Result<()> {
        Ok(())
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.savepoints.push(self.changes.len());
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.savepoints.pop();
        Ok(())
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<()> {
        if let Some(kept) = self.savepoints.pop() {
            self.changes.truncate(kept);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        yield_now().await;
        let chance = if self.fails { thread_rng().gen_range(0..6) } else { 5 };
        if chance == 0 {
            return Err(away());
        }
        self.apply();
        yield_now().await;
        if chance == 1 { Err(away()) } else { Ok(()) }
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Journals for PlainTables {
    async fn applied(&self, journal: &str) -> Result<Option<AppliedPlace>> {
        yield_now().await;
        Ok(lock(&self.content).journals.get(journal).copied())
    }

    async fn dead_letters(&self, _: Option<&str>, _: Option<(&str, u64)>, _: u64) -> Result<Vec<DeadLetter>> {
        unreachable!("nobody lists them")
    }

    async fn remove_dead_letter(&self, _: &str, _: u64) -> Result<bool> {
        unreachable!("nobody removes one")
    }
}
