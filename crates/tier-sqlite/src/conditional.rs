//! Writing rows if what is there is what the writer expects.

use rusqlite::Connection;
use store_core::facet::Condition;
use store_core::{Result, StoredRow};

use crate::commit::transaction;
use crate::error::{self, Origin};
use crate::plan::Plan;
use crate::read;
use crate::value::{self, NewRow};
use crate::workers::Worker;
use crate::write::{LogKey, LogKeys, put_within};

/// A row, the text of its key, and what it expects.
pub(crate) struct RowIf {
    pub(crate) row: NewRow,
    pub(crate) text: String,
    pub(crate) condition: Condition,
}

/// Inserts or updates a row if the condition holds, and gives what the table then holds.
pub(crate) fn put_if(worker: &Worker, plan: &Plan, row: RowIf) -> Result<Option<StoredRow>> {
    let stored = transaction(worker, Origin::Table(plan), |connection| put_many_if_within(connection, plan, vec![row]))?;
    stored.into_iter().next().ok_or_else(error::lost)
}

/// Inserts or updates each row whose condition holds, within a transaction that is open. SQLite has one writer: from the beginning of the transaction on,
/// nothing changes but by it.
pub(crate) fn put_many_if_within(connection: &Connection, plan: &Plan, rows: Vec<RowIf>) -> Result<Vec<Option<StoredRow>>> {
    let mut answers = vec![None; rows.len()];
    let (mut positions, mut held, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (position, RowIf { row, text, condition }) in rows.into_iter().enumerate() {
        let present = read::version(connection, plan, &value::stored_key_of(&row, plan))?;
        if condition.holds(present) {
            keys.push(match &row.given {
                Some(given) if present.is_some() => LogKey::updated(text, plan, given),
                _ => LogKey::new(text),
            });
            positions.push(position);
            held.push(row);
        }
    }
    if held.is_empty() {
        return Ok(answers);
    }
    let stored = put_within(connection, plan, held, &LogKeys::of_keys(keys))?;
    for (position, stored) in positions.into_iter().zip(stored) {
        answers[position] = Some(stored);
    }
    Ok(answers)
}
