//! Encrypting records anew.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::sealing::named_by_field;
use super::transaction::{Change, Changes};
use super::{Pipeline, View, may_have_taken_effect};
use crate::crypto::Sealer;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Begin, Condition, Isolation, RowLock, Select, Transaction};
use crate::freshness::Freshness;
use crate::key::Key;
use crate::query::{Cursor, Filter, Query};
use crate::record::StoredRow;
use crate::reencrypt::{Options, ReencryptProgress};
use crate::schema::{Schema, WriteMode};
use crate::sql::Dialect;
use crate::value::{Row, Value};

/// What became of the records of one transaction.
#[derive(Default)]
struct Renewed {
    /// Those that need nothing more.
    done: u64,
    unreadable: Vec<Error>,
    refused: Vec<Error>,
}

/// How often in a row a chunk is tried again that failed for reasons that may pass, and the pauses before, which double: about 40 seconds, so that a database
/// may move to another server.
const MOST_RETRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

impl Renewed {
    fn add(&mut self, other: Renewed) {
        self.done += other.done;
        self.unreadable.extend(other.unreadable);
        self.refused.extend(other.refused);
    }
}

impl<T: Schema> Pipeline<T> {
    /// Encrypts what is encrypted with another key than the primary one, in the order of the keys.
    pub(crate) async fn reencrypt(self: &Arc<Self>, mut options: Options<'_>) -> Result<ReencryptProgress> {
        self.check_no_conflict_with_pending()?;
        let mut progress = self.renewed_so_far().await?;
        let filter = self.needing(options.everything)?;
        if options.everything {
            progress.done = progress.total.saturating_sub(self.count(Some(filter.clone()), &Freshness::Strong).await?);
        }
        let tell = |options: &mut Options<'_>, progress: ReencryptProgress| {
            if let Some(listener) = &mut options.progress {
                listener(progress);
            }
        };
        tell(&mut options, progress.clone());
        let mut behind = options.after.as_deref().map(|key| self.cursor_behind(key)).transpose()?;
        let mut failures = 0;
        loop {
            let began = self.shared.settings.clock.monotonic();
            let (found, renewed) = match self.renew_next(filter.clone(), behind.clone(), options.chunk, options.everything).await {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) if error.is_retryable() && failures < MOST_RETRIES => {
                    tracing::warn!(schema = self.schema.name(), %error, "records were not encrypted anew, which is tried again");
                    tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << failures).min(LONGEST_PAUSE)).await;
                    failures += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            failures = 0;
            for error in renewed.unreadable {
                self.tell_left(error, progress.unreadable == 0);
                progress.unreadable += 1;
            }
            for error in renewed.refused {
                self.tell_left(error, progress.refused == 0);
                progress.refused += 1;
            }
            progress.done = (progress.done + renewed.done).min(progress.total);
            if let Some(last) = found.last() {
                behind = Some(self.cursor_behind(&Self::text(last))?);
                progress.last_key = Some(Self::text(last));
            }
            tell(&mut options, progress.clone());
            let spent = self.shared.settings.clock.monotonic().saturating_sub(began);
            tokio::time::sleep(options.time_of(found.len()).saturating_sub(spent)).await;
        }
        if options.everything {
            let left = progress.unreadable + progress.refused;
            return Ok(ReencryptProgress { done: progress.total.saturating_sub(left), ..progress });
        }
        // Those that others wrote meanwhile are of whichever key these have.
        let ReencryptProgress { unreadable, refused, last_key, .. } = progress;
        Ok(ReencryptProgress { unreadable, refused, last_key, ..self.renewed_so_far().await? })
    }

    /// As [`renewed_so_far`](Self::renewed_so_far), and how many have a value of a key that the ring lacks.
    pub(crate) async fn reencrypt_progress(&self) -> Result<ReencryptProgress> {
        let sealer = self.sealer()?;
        let headers = sealer.known_headers();
        let places = (1..=headers.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
        let unknown = sealer.positions().map(|(position, _)| {
            let sql = format!("{} NOT IN ({places})", self.header_of(position, headers[0].len()));
            Filter::Raw { sql, params: headers.iter().map(|header| Value::Bytes(header.clone().into())).collect() }
        });
        let unreadable = self.count(Some(Filter::Any(unknown.collect())), &Freshness::Strong).await?;
        Ok(ReencryptProgress { unreadable, ..self.renewed_so_far().await? })
    }

    /// The beginning of what is stored in a column, in SQL. Names are quoted alike in both databases.
    fn header_of(&self, position: usize, length: usize) -> String {
        format!("substr({}, 1, {length})", Dialect::Postgres.quote(self.schema.definition().columns()[position].name))
    }

    /// How many records are encrypted with the primary key alone.
    async fn renewed_so_far(&self) -> Result<ReencryptProgress> {
        let left = self.count(Some(self.needing(false)?), &Freshness::Strong).await?;
        let total = self.count(None, &Freshness::Strong).await?;
        Ok(ReencryptProgress {
            done: total.saturating_sub(left),
            total,
            unreadable: 0,
            refused: 0,
            last_key: None,
            key: self.sealer()?.primary(),
        })
    }

    /// A record that is encrypted anew has another version, and other instances' pending writes of it would be rejected though nobody changed it.
    fn check_no_conflict_with_pending(&self) -> Result<()> {
        if self.schema.write_mode() != WriteMode::WriteBehind || !self.rejects_conflicts() {
            return Ok(());
        }
        let message = "the schema is written behind and rejects conflicts: pending writes of other instances would become dead letters where this job gives records new versions; run it while all instances have another `on_conflict` for the schema, or another write mode";
        Err(Error::new(ErrorKind::InvalidConfig, message).with_schema(self.schema.name()))
    }

    fn sealer(&self) -> Result<&Sealer> {
        self.tables()?;
        let message = "the schema has no encrypted field; there is nothing to encrypt anew";
        self.sealer.as_deref().ok_or_else(|| Error::new(ErrorKind::InvalidQuery, message))
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
            // NULL answers neither yes nor no.
            let sql = format!("{} <> $1", self.header_of(position, header.len()));
            reasons.push(Filter::Raw { sql, params: vec![Value::Bytes(header.clone().into())] });
            if let Some(blind) = blind {
                reasons.push((!Filter::IsNull { column: name.into() }).and(Filter::IsNull { column: columns[blind].name.into() }));
            }
        }
        Ok(Filter::Any(reasons))
    }

    /// The place behind a key in the order of keys.
    fn cursor_behind(&self, key: &str) -> Result<Cursor> {
        let definition = self.schema.definition();
        let key = T::Key::from_text(key)?;
        let mut row = vec![Value::Unset; definition.columns().len()];
        for (&position, value) in definition.key_positions().iter().zip(<T::Key as Key>::to_values(key.borrow())?) {
            row[position] = value;
        }
        Cursor::behind_row(&row, &Query::<T>::new().to_select(None)?.order, definition)
    }

    /// Encrypts the next records anew, and answers the keys that it met; `None` if none is left.
    async fn renew_next(
        self: &Arc<Self>,
        filter: Filter,
        behind: Option<Cursor>,
        chunk: u32,
        everything: bool,
    ) -> Result<Option<(Vec<T::Key>, Renewed)>> {
        self.before_query(&Freshness::Strong).await?;
        let mut query = Query::<T>::new().filter(filter).limit(chunk.into());
        if let Some(cursor) = behind {
            query = query.after(cursor);
        }
        let columns = self.schema.definition().key_positions().to_vec();
        let select = Select { columns: Some(columns), ..query.to_select(query.search_limit())? };
        let rows: Vec<StoredRow> = self.rows(select, View::Truth, &Freshness::Strong).await?.try_collect().await?;
        let keys = rows.iter().map(|stored| T::Key::from_values(self.key_values(&stored.row))).collect::<Result<Vec<T::Key>>>()?;
        if keys.is_empty() {
            return Ok(None);
        }
        let renewed = self.renew_all(keys.clone(), everything).await?;
        Ok(Some((keys, renewed)))
    }

    /// Encrypts the records of some keys anew; one by one if one of them cannot be read or written.
    async fn renew_all(self: &Arc<Self>, keys: Vec<T::Key>, everything: bool) -> Result<Renewed> {
        match self.renew_chunk(keys.clone(), everything).await {
            Err(error) if is_unreadable(&error) || is_refused(&error) => {}
            outcome => return outcome,
        }
        let mut renewed = Renewed::default();
        for key in keys {
            let text = Self::text(&key);
            match self.renew_chunk(vec![key], everything).await {
                Ok(one) => renewed.add(one),
                Err(error) if is_unreadable(&error) => renewed.unreadable.push(error.with_key(text)),
                Err(error) if is_refused(&error) => renewed.refused.push(error.with_key(text)),
                Err(error) => return Err(error),
            }
        }
        Ok(renewed)
    }

    /// Encrypts the records of some keys anew, in one transaction.
    async fn renew_chunk(self: &Arc<Self>, keys: Vec<T::Key>, everything: bool) -> Result<Renewed> {
        let tables = Arc::clone(self.tables()?);
        let pipeline = Arc::clone(self);
        let of_task = keys.clone();
        let task = async move {
            let mut changes = Changes::new(&pipeline);
            keys.iter().for_each(|key| changes.note_fence(key));
            let limit: Duration = pipeline.shared.settings.transaction_timeout;
            let mut transaction = tables.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await?;
            let renewed = match pipeline.renew_within(&mut *transaction, &mut changes, keys, everything).await {
                Ok(renewed) => renewed,
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
                    Ok(renewed)
                }
                Err(error) => {
                    if may_have_taken_effect(&error) {
                        Box::new(changes).doubt().await;
                    }
                    Err(error)
                }
            }
        };
        self.in_task(of_task, task).await
    }

    /// Reads records with their locks, so that nothing comes between the value that is opened and the one that is written.
    async fn renew_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        keys: Vec<T::Key>,
        everything: bool,
    ) -> Result<Renewed> {
        let values = keys.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
        let found = transaction.get_many(&self.schema, &values, RowLock::ForUpdate).await?;
        drop(values);
        let (mut renewed, mut written, mut rows) = (Renewed::default(), Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for (key, stored) in keys.into_iter().zip(found) {
            // Somebody deleted it.
            let Some(StoredRow { row, .. }) = stored else { continue };
            if !everything && self.sealer()?.is_current(&row) {
                renewed.done += 1;
                continue;
            }
            match self.opened(self.encrypted_part(row)) {
                Ok(row) => {
                    rows.push(self.sealed(row)?);
                    written.push(key);
                }
                Err(error) if is_unreadable(&error) => renewed.unreadable.push(error.with_key(Self::text(&key))),
                Err(error) => return Err(error),
            }
        }
        if rows.is_empty() {
            return Ok(renewed);
        }
        let stored = transaction.put_many_if(&self.schema, &rows, &vec![Condition::Present; rows.len()]).await?;
        for (key, stored) in written.into_iter().zip(stored) {
            let Some(stored) = stored else { continue };
            renewed.done += 1;
            // A copy may have tags that nobody but its writer knows.
            changes.add_changed(key, stored.version);
        }
        Ok(renewed)
    }

    /// The key and the encrypted columns of a row, the only ones that are written.
    fn encrypted_part(&self, row: Row<'static>) -> Row<'static> {
        let columns = self.schema.definition().columns();
        let is_part = |position: usize| columns[position].is_key || columns[position].encryption.is_some();
        row.into_iter().enumerate().map(|(position, value)| if is_part(position) { value } else { Value::Unset }).collect()
    }

    /// Tells of a record that stays as it is. Of many, one is enough to look into.
    fn tell_left(&self, error: Error, is_first: bool) {
        let schema = self.schema.name();
        let error = named_by_field(error, self.schema.definition());
        if is_first {
            tracing::error!(schema, %error, "a record is not encrypted anew and stays as it is; others like it are counted, and told at the level of debugging");
        } else {
            tracing::debug!(schema, %error, "a record is not encrypted anew and stays as it is");
        }
    }
}

fn is_unreadable(error: &Error) -> bool {
    error.kind() == ErrorKind::DecodeFailed
}

/// Whether the truth does not take a record for what is in it.
fn is_refused(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UniqueViolation | ErrorKind::ConstraintViolation)
}
