//! What a write keeps of what is there, where the tier of truth has no columns to keep apart.

use super::Pipeline;
use super::write::owned;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Records, Slot};
use crate::record::StoredRow;
use crate::schema::{Schema, Stamp};
use crate::tag::CallTags;
use crate::value::{Row, Value};
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Writes to the shared tier as the truth, which has no columns to keep apart: what an update keeps is read first.
    pub(super) async fn write_records(
        &self,
        records: &dyn Records,
        keys: &[T::Key],
        rows: &[Row<'_>],
        tags: &CallTags,
    ) -> Result<Vec<StoredRow>> {
        let mut present: Vec<Option<Row<'static>>> = rows.iter().map(|_| None).collect();
        if rows.iter().any(|row| self.keeps(row)) {
            let texts: Vec<String> = keys.iter().map(Self::text).collect();
            let slots = records.fetch(&self.schema, &texts, None).await?;
            for (((present, row), text), slot) in present.iter_mut().zip(rows).zip(&texts).zip(slots) {
                let is_written = matches!(&slot, Slot::Record(record) if record.generation == 0);
                *present = self.found_in_slot(text, slot)?.map(|found| found.stored.row);
                // A stamp of the insert may begin anew. What the write leaves out would be gone.
                let leaves_out = || self.schema.shared_positions().iter().any(|&position| matches!(row[position], Value::Unset));
                if is_written && present.is_none() && leaves_out() {
                    return Err(unreadable().with_key(text));
                }
            }
        }
        let merged: Vec<Row<'static>> = rows.iter().zip(present).map(|(row, present)| self.merged(row, present)).collect();
        let mut encoded = Vec::with_capacity(rows.len());
        for (key, row) in keys.iter().zip(&merged) {
            // The copies that are made of it have its tags; it is no copy itself, and so has no era.
            let notes = self.with_tags(row, None, tags);
            encoded.push((Self::text(key), self.encode(row, Version::default(), 0, notes.as_deref())?));
        }
        let versions = records.put(&self.schema, &encoded).await?;
        Ok(merged.into_iter().zip(versions).map(|(row, version)| StoredRow { row, version }).collect())
    }

    /// Whether an update with this row keeps some of what is there.
    pub(super) fn keeps(&self, row: &Row<'_>) -> bool {
        let columns = self.schema.definition().columns();
        row.iter().zip(columns).any(|(value, column)| matches!(value, Value::Unset) || column.stamp == Stamp::OnInsert)
    }

    /// A row as an update leaves it: what is unset and what is stamped on insert keeps its present content.
    pub(super) fn merged(&self, row: &Row<'_>, present: Option<Row<'static>>) -> Row<'static> {
        let columns = self.schema.definition().columns();
        let mut merged = owned(row.iter().map(Value::as_borrowed).collect());
        if let Some(present) = present {
            for ((value, column), present) in merged.iter_mut().zip(columns).zip(present) {
                if matches!(value, Value::Unset) || column.stamp == Stamp::OnInsert {
                    *value = present;
                }
            }
        }
        merged
    }
}

/// The error of a write that would lose what it leaves alone.
pub(super) fn unreadable() -> Error {
    let message = "another build wrote the record, with columns that this one does not know, so that what the write leaves alone cannot be kept; \
                   write it as a whole, with `set` and all of its fields";
    Error::new(ErrorKind::DecodeFailed, message)
}
