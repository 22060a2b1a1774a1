//! Encrypting records anew.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::transaction::{Change, Changes};
use super::{Pipeline, View, may_have_taken_effect};
use crate::crypto::Sealer;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Begin, Condition, Isolation, Select, Transaction};
use crate::freshness::Freshness;
use crate::key::Key;
use crate::query::{Cursor, Filter, Query};
use crate::record::StoredRow;
use crate::reencrypt::{Options, ReencryptProgress};
use crate::schema::Schema;
use crate::sql::Dialect;
use crate::value::{Row, Value};
use crate::version::Version;

/// What is to be written of one record.
struct Renewed<T: Schema> {
    key: T::Key,
    row: Row<'static>,
    version: Version,
}

impl<T: Schema> Pipeline<T> {
    /// Encrypts what is encrypted with another key than the primary one, in the order of the keys.
    pub(crate) async fn reencrypt(self: &Arc<Self>, mut options: Options<'_>) -> Result<ReencryptProgress> {
        let mut progress = self.reencrypt_progress().await?;
        let filter = self.needing(options.everything)?;
        if options.everything {
            progress.done = 0;
        }
        let tell = |options: &mut Options<'_>, progress: ReencryptProgress| {
            if let Some(listener) = &mut options.progress {
                listener(progress);
            }
        };
        tell(&mut options, progress);
        let mut behind: Option<Cursor> = None;
        loop {
            let began = self.shared.settings.clock.monotonic();
            let rows = self.rows_to_renew(filter.clone(), behind.take(), options.chunk).await?;
            let Some(last) = rows.last() else { break };
            let order = Query::<T>::new().to_select(None)?.order;
            behind = Some(Cursor::behind_row(&last.row, &order, self.schema.definition())?);
            let found = rows.len();
            let mut renewed = Vec::with_capacity(found);
            for stored in rows {
                match self.renewed(stored) {
                    Ok(row) => renewed.push(row),
                    Err(error) => {
                        progress.unreadable += 1;
                        tracing::error!(schema = self.schema.name(), %error, "a record cannot be decrypted and stays as it is");
                    }
                }
            }
            progress.done += self.write_renewed(renewed).await?;
            tell(&mut options, progress);
            let spent = self.shared.settings.clock.monotonic().saturating_sub(began);
            tokio::time::sleep(options.time_of(found).saturating_sub(spent)).await;
        }
        if options.everything {
            return Ok(ReencryptProgress { done: progress.total - progress.unreadable.min(progress.total), ..progress });
        }
        // Those that others wrote meanwhile are of whichever key these have.
        Ok(ReencryptProgress { unreadable: progress.unreadable, ..self.reencrypt_progress().await? })
    }

    /// How many records are encrypted with the primary key alone.
    pub(crate) async fn reencrypt_progress(&self) -> Result<ReencryptProgress> {
        let left = self.count(Some(self.needing(false)?), &Freshness::Strong).await?;
        let total = self.count(None, &Freshness::Strong).await?;
        Ok(ReencryptProgress { done: total.saturating_sub(left), total, unreadable: 0, key: self.sealer()?.primary() })
    }

    fn sealer(&self) -> Result<&Sealer> {
        self.tables()?;
        let message = "the schema has no encrypted field; there is nothing to encrypt anew";
        self.sealer.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidQuery, message))
    }

    /// The rows that have something to be encrypted anew, or a blind index to be made.
    fn needing(&self, everything: bool) -> Result<Filter> {
        let sealer = self.sealer()?;
        let columns = self.schema.definition().columns();
        let header = sealer.header();
        let mut reasons = Vec::new();
        for (position, blind) in sealer.positions() {
            let name = columns[position].name;
            if everything {
                reasons.push(!Filter::IsNull { column: name.into() });
                continue;
            }
            // Names are quoted alike in both databases, and NULL answers neither yes nor no.
            let sql = format!("substr({}, 1, {}) <> $1", Dialect::Postgres.quote(name), header.len());
            reasons.push(Filter::Raw { sql, params: vec![Value::Bytes(header.clone().into())] });
            if let Some(blind) = blind {
                reasons.push((!Filter::IsNull { column: name.into() }).and(Filter::IsNull { column: columns[blind].name.into() }));
            }
        }
        Ok(Filter::Any(reasons))
    }

    async fn rows_to_renew(&self, filter: Filter, behind: Option<Cursor>, chunk: u32) -> Result<Vec<StoredRow>> {
        self.before_query(&Freshness::Strong).await?;
        let mut query = Query::<T>::new().filter(filter).limit(chunk.into());
        if let Some(cursor) = behind {
            query = query.after(cursor);
        }
        let encrypted = self.sealer()?.positions().map(|(position, _)| position);
        let columns = self.schema.definition().key_positions().iter().copied().chain(encrypted).collect();
        let select = Select { columns: Some(columns), ..query.to_select(query.search_limit())? };
        self.rows(select, View::Truth, &Freshness::Strong)?.try_collect().await
    }

    fn renewed(&self, stored: StoredRow) -> Result<Renewed<T>> {
        let StoredRow { row, version } = stored;
        let key = T::Key::from_values(self.key_values(&row))?;
        let row = self.opened(row).map_err(|error| error.with_key(Self::text(&key)))?;
        Ok(Renewed { key, row: self.sealed(row)?, version })
    }

    /// Writes what nobody else has written since, and answers how much that was.
    async fn write_renewed(self: &Arc<Self>, renewed: Vec<Renewed<T>>) -> Result<u64> {
        if renewed.is_empty() {
            return Ok(0);
        }
        let tables = Arc::clone(self.tables()?);
        let keys: Vec<T::Key> = renewed.iter().map(|renewed| renewed.key.clone()).collect();
        let pipeline = Arc::clone(self);
        let task = async move {
            let mut changes = Changes::new(&pipeline);
            renewed.iter().for_each(|renewed| changes.note_fence(&renewed.key));
            let limit: Duration = pipeline.shared.settings.transaction_timeout;
            let mut transaction = tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await?;
            let written = match pipeline.send_renewed(&mut *transaction, &mut changes, renewed).await {
                Ok(written) => written,
                Err(error) => {
                    // It is dropped where that fails, which rolls back too.
                    let _ = transaction.rollback().await;
                    return Err(error);
                }
            };
            match transaction.commit().await {
                Ok(()) => {
                    changes.hear();
                    Box::new(changes).publish().await;
                    Ok(written)
                }
                Err(error) => {
                    if may_have_taken_effect(&error) {
                        Box::new(changes).doubt().await;
                    }
                    Err(error)
                }
            }
        };
        self.in_task(keys, task).await
    }

    async fn send_renewed(&self, transaction: &mut dyn Transaction, changes: &mut Changes<T>, renewed: Vec<Renewed<T>>) -> Result<u64> {
        let conditions: Vec<Condition> = renewed.iter().map(|renewed| Condition::Version(renewed.version)).collect();
        let (keys, rows): (Vec<T::Key>, Vec<Row<'static>>) = renewed.into_iter().map(|renewed| (renewed.key, renewed.row)).unzip();
        let stored = transaction.put_many_if(&self.schema, &rows, &conditions).await?;
        let mut written = 0;
        for (key, stored) in keys.into_iter().zip(stored) {
            let Some(stored) = stored else { continue };
            written += 1;
            // A copy may have tags that nobody but its writer knows.
            changes.add_changed(key, stored.version);
        }
        Ok(written)
    }
}
