//! Writing what a flush has taken, so that what the truth refuses of it harms nothing else.

use crate::behind::item::{Batch, Item, Outcome, Resolution};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{BULK_LOG_LIMIT, Condition, RowLock, Transaction};
use crate::record::StoredRow;
use crate::value::{Row, Value};

/// Why a flush did not come to its commit.
pub(super) enum Stopped {
    /// This instance writes one of the keys by another way just now.
    Contended,
    /// The commit told of a record that the truth refuses, and nobody knows which.
    AtCommit(Error),
    Failed(Error),
}

/// How a flush treats what the truth refuses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Care {
    /// A write that others were in the way of counts as refused too.
    pub(super) is_lenient: bool,
    /// What the truth would check at the commit is checked as the records are written.
    pub(super) checks_deferred: bool,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}

/// A write among those that were taken: its batch, and its place there.
type Place = (usize, usize);
type Batches = [Box<dyn Batch>];

/// Writes all. What the truth refuses for its own sake is narrowed down by halves, and tried again once the others are written, which may have been in its way.
pub(super) async fn write_all(transaction: &mut dyn Transaction, batches: &mut Batches, care: Care) -> Result<(), Stopped> {
    let mut left: Vec<Place> =
        batches.iter().enumerate().flat_map(|(batch, taken)| (0..taken.items().len()).map(move |index| (batch, index))).collect();
    left.sort_by_key(|&place| item(batches, place).order());
    loop {
        let (count, mut refused) = (left.len(), Vec::new());
        let mut chunks: Vec<Vec<Place>> = left.chunks(BULK_LOG_LIMIT).rev().map(<[Place]>::to_vec).collect();
        while let Some(mut chunk) = chunks.pop() {
            transaction.savepoint().await?;
            match write_checked(transaction, batches, &chunk, care).await {
                Ok(outcomes) => {
                    transaction.release().await?;
                    for ((batch, index), outcome) in outcomes {
                        batches[batch].decide(index, outcome);
                    }
                }
                Err(Stopped::Failed(error)) if is_refused(&error, care) => {
                    transaction.roll_back_to_savepoint().await?;
                    if let [only] = chunk[..] {
                        refused.push((only, error));
                    } else {
                        let later = chunk.split_off(chunk.len() / 2);
                        chunks.extend([later, chunk]);
                    }
                }
                Err(stopped) => return Err(stopped),
            }
        }
        if refused.len() == count {
            for ((batch, index), error) in refused {
                batches[batch].decide(index, Outcome::Refused(error));
            }
            return Ok(());
        }
        left = refused.into_iter().map(|(place, _)| place).collect();
    }
}

/// Whether a failure tells of what was written, and not of the truth.
pub(super) fn is_of_a_record(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UniqueViolation | ErrorKind::ConstraintViolation | ErrorKind::InvalidValue | ErrorKind::EncodeFailed)
}

fn is_refused(error: &Error, care: Care) -> bool {
    is_of_a_record(error) || (care.is_lenient && error.kind() == ErrorKind::TransactionFailed && error.is_retryable())
}

fn item(batches: &Batches, (batch, index): Place) -> &Item {
    &batches[batch].items()[index]
}

/// As [`write_chunk`], with all checks that `care` asks for.
async fn write_checked(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    chunk: &[Place],
    care: Care,
) -> Result<Vec<(Place, Outcome)>, Stopped> {
    let outcomes = write_chunk(transaction, batches, chunk).await?;
    if care.checks_deferred {
        transaction.check_deferred().await?;
    }
    Ok(outcomes)
}

/// Writes some, with few calls for each schema: deletions first, since they make room.
async fn write_chunk(transaction: &mut dyn Transaction, batches: &Batches, chunk: &[Place]) -> Result<Vec<(Place, Outcome)>, Stopped> {
    let mut outcomes = Vec::with_capacity(chunk.len());
    for batch in (0..batches.len()).rev() {
        erase(transaction, batches, of_batch(chunk, batch, |item| item.row.is_none()), &mut outcomes).await?;
    }
    for batch in 0..batches.len() {
        replace(transaction, batches, of_batch(chunk, batch, |item| item.row.is_some() && item.replaces), &mut outcomes).await?;
        put(transaction, batches, of_batch(chunk, batch, |item| item.row.is_some() && !item.replaces), &mut outcomes).await?;
    }
    return Ok(outcomes);

    fn of_batch<'a>(chunk: &'a [Place], batch: usize, wanted: impl Fn(&Item) -> bool + 'a) -> impl Fn(&Batches) -> Vec<Place> + 'a {
        move |batches| chunk.iter().copied().filter(|&place| place.0 == batch && wanted(item(batches, place))).collect()
    }
}

type Outcomes = Vec<(Place, Outcome)>;

/// Deletes, each only if the key holds what the deletion was based on.
async fn erase(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    places: impl Fn(&Batches) -> Vec<Place>,
    outcomes: &mut Outcomes,
) -> Result<(), Stopped> {
    let places = places(batches);
    let (allowed, conflicts) = allowed(transaction, batches, &places).await?;
    outcomes.extend(delete(transaction, batches, &allowed).await?);
    resolve_all(transaction, batches, conflicts, outcomes).await
}

/// Writes rows that nothing of what is there is kept beside.
async fn replace(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    places: impl Fn(&Batches) -> Vec<Place>,
    outcomes: &mut Outcomes,
) -> Result<(), Stopped> {
    let places = places(batches);
    let (allowed, conflicts) = allowed(transaction, batches, &places).await?;
    delete(transaction, batches, &allowed).await?;
    outcomes.extend(put_rows(transaction, batches, &allowed).await?);
    resolve_all(transaction, batches, conflicts, outcomes).await
}

async fn put(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    places: impl Fn(&Batches) -> Vec<Place>,
    outcomes: &mut Outcomes,
) -> Result<(), Stopped> {
    let (conditional, blind): (Vec<Place>, Vec<Place>) =
        places(batches).into_iter().partition(|&place| item(batches, place).base.condition().is_some());
    outcomes.extend(put_rows(transaction, batches, &blind).await?);
    let Some(&(batch, _)) = conditional.first() else { return Ok(()) };
    let rows: Vec<Row<'_>> = conditional.iter().filter_map(|&place| item(batches, place).row()).collect();
    let conditions: Vec<Condition> = conditional.iter().filter_map(|&place| item(batches, place).base.condition()).collect();
    let stored = transaction.put_many_if(batches[batch].schema(), &rows, &conditions).await?;
    drop(rows);
    let mut in_conflict = Vec::new();
    for (place, stored) in conditional.into_iter().zip(stored) {
        match stored {
            Some(stored) => outcomes.push((place, Outcome::Stored(stored))),
            None => in_conflict.push(place),
        }
    }
    let present = read(transaction, batches, &in_conflict).await?;
    resolve_all(transaction, batches, in_conflict.into_iter().zip(present), outcomes).await
}

/// Which keys hold what the writes were based on, and what the others hold. Their rows are locked.
async fn allowed(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    places: &[Place],
) -> Result<(Vec<Place>, Vec<(Place, Option<StoredRow>)>), Stopped> {
    let (conditional, mut allowed): (Vec<Place>, Vec<Place>) =
        places.iter().partition(|&&place| item(batches, place).base.condition().is_some());
    let mut conflicts = Vec::new();
    let present = read(transaction, batches, &conditional).await?;
    for (place, stored) in conditional.into_iter().zip(present) {
        let item = item(batches, place);
        let version = stored.as_ref().map(|stored| stored.version);
        // What is to be deleted and is gone needs no decision.
        let is_gone = item.row.is_none() && version.is_none();
        if is_gone || item.base.condition().is_none_or(|condition| condition.holds(version)) {
            allowed.push(place);
        } else {
            conflicts.push((place, stored));
        }
    }
    Ok((allowed, conflicts))
}

/// Reads and locks what some keys of one schema hold.
async fn read(transaction: &mut dyn Transaction, batches: &Batches, places: &[Place]) -> Result<Vec<Option<StoredRow>>> {
    let Some(&(batch, _)) = places.first() else { return Ok(Vec::new()) };
    transaction.get_many(batches[batch].schema(), &keys(batches, places), RowLock::ForUpdate).await
}

async fn delete(transaction: &mut dyn Transaction, batches: &Batches, places: &[Place]) -> Result<Outcomes> {
    let Some(&(batch, _)) = places.first() else { return Ok(Vec::new()) };
    let deleted = transaction.delete_many(batches[batch].schema(), &keys(batches, places)).await?;
    Ok(places.iter().copied().zip(deleted.into_iter().map(Outcome::Deleted)).collect())
}

async fn put_rows(transaction: &mut dyn Transaction, batches: &Batches, places: &[Place]) -> Result<Outcomes> {
    let Some(&(batch, _)) = places.first() else { return Ok(Vec::new()) };
    let rows: Vec<Row<'_>> = places.iter().filter_map(|&place| item(batches, place).row()).collect();
    let stored = transaction.put_many(batches[batch].schema(), &rows).await?;
    Ok(places.iter().copied().zip(stored.into_iter().map(Outcome::Stored)).collect())
}

fn keys<'a>(batches: &'a Batches, places: &[Place]) -> Vec<Row<'a>> {
    places.iter().map(|&place| item(batches, place).key.iter().map(Value::as_borrowed).collect()).collect()
}

/// As [`resolve`], for each of several.
async fn resolve_all(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    conflicts: impl IntoIterator<Item = (Place, Option<StoredRow>), IntoIter: Send>,
    outcomes: &mut Outcomes,
) -> Result<(), Stopped> {
    for (place, stored) in conflicts {
        outcomes.push((place, resolve(transaction, batches, place, stored).await?));
    }
    Ok(())
}

/// Lets the schema decide a conflict with what is stored, and does what it says.
async fn resolve(
    transaction: &mut dyn Transaction,
    batches: &Batches,
    place: Place,
    stored: Option<StoredRow>,
) -> Result<Outcome, Stopped> {
    let (batch, index) = (&batches[place.0], place.1);
    if batch.is_contended(index) {
        return Err(Stopped::Contended);
    }
    let schema = batch.schema();
    let is_absent = stored.is_none();
    let (row, is_merge) = match batch.resolve(index, stored) {
        Resolution::Refuse(error) => return Ok(Outcome::Refused(error)),
        Resolution::Write(row) => (row, false),
        Resolution::Merge(row) => (row, true),
    };
    let outcome = match row {
        None => Outcome::Deleted(transaction.delete_many(schema, &keys(batches, &[place])).await?.into_iter().next().flatten()),
        // What is not there could not be locked.
        Some(row) if is_merge && is_absent => {
            let stored = transaction.put_many_if(schema, &[row], &[Condition::Absent]).await?;
            Outcome::Stored(stored.into_iter().next().flatten().ok_or(Stopped::Contended)?)
        }
        Some(row) => {
            let stored = transaction.put_many(schema, &[row]).await?.into_iter().next();
            Outcome::Stored(stored.ok_or_else(|| Error::new(ErrorKind::Internal, "the truth answered a write without its row"))?)
        }
    };
    Ok(if is_merge { Outcome::Merged(Box::new(outcome)) } else { outcome })
}
