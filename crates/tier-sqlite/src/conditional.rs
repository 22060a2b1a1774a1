//! Writing a row if what is there is what the writer expects.

use rusqlite::types::Value as Stored;
use store_core::facet::{Condition, LogKind};
use store_core::{Result, StoredRow};

use crate::commit::{draw_versions, transaction};
use crate::error::{self, Origin};
use crate::plan::Plan;
use crate::read;
use crate::value::{self, NewRow};
use crate::workers::Worker;
use crate::write::{LogKeys, log, with_key, write_and_read};

/// Inserts or updates a row if the condition holds, and gives what the table then holds.
pub(crate) fn put_if(worker: &Worker, plan: &Plan, mut row: NewRow, keys: &LogKeys, condition: Condition) -> Result<Option<StoredRow>> {
    let all: Box<[usize]> = (0..plan.columns().len()).collect();
    let given = row.given.clone().unwrap_or(all);
    let key = value::stored_key_of(&row, plan);
    let sql = if condition == Condition::Absent { plan.insert_only(&given) } else { plan.update(&given) };
    // SQLite has one writer: from the beginning of the transaction on, nothing changes but by it.
    transaction(worker, Origin::Table(plan), |connection| {
        if !condition.holds(read::version(connection, plan, &key)?) {
            return Ok(None);
        }
        let version = draw_versions(connection, 1)?;
        row.values.push(Stored::Integer(version));
        let stored = write_and_read(connection, plan, &sql, &row.values).map_err(|error| with_key(error, &row, plan))?;
        let stored = stored.ok_or_else(error::lost)?;
        log(connection, plan, keys, [Some(version)].into_iter(), LogKind::Put)?;
        Ok(Some(stored))
    })
}
