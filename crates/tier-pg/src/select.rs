//! Running queries.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::future::join;
use futures_util::{StreamExt, TryStreamExt, stream};
use store_core::facet::{Count, ReadPreference, Select};
use store_core::sql::{self, Dialect};
use store_core::{BoundSchema, Error, Result, Role, StoredRow};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream};

use crate::error::{Attempt, Failure};
use crate::pool::{ATTEMPTS, Lease, Pool, check_count, within};
use crate::read::selected_row;
use crate::replica::{Chosen, Replayed, let_finish};
use crate::tier::PgTier;
use crate::value::Param;

pub(crate) fn select(tier: Arc<PgTier>, schema: Arc<BoundSchema>, select: Select) -> BoxStream<'static, Result<StoredRow>> {
    let opened = async move {
        let statement = sql::select(Dialect::Postgres, &schema, &select).map_err(|error| error.with_tier(Role::Truth))?;
        let opened = match tier.replica(&select.preference) {
            Some((replica, replayed)) => {
                let replica = Arc::new(replica);
                replica.judge(open(replica.pool(), &schema, &statement, replayed, Some(&replica)).await, replayed)
            }
            None => None,
        };
        let (first, reader) = match opened {
            Some(answer) => answer?,
            None => match open_primary(&tier, &select.preference, &schema, &statement).await {
                Err(error) => match tier.late_replica(&select.preference, &error) {
                    Some(replica) => {
                        let replica = Arc::new(replica);
                        let answer = open(replica.pool(), &schema, &statement, None, Some(&replica)).await;
                        replica.judge(answer, None).unwrap_or(Err(error))?
                    }
                    None => return Err(error),
                },
                answer => answer?.unwrap_or_default(),
            },
        };
        let rest = stream::try_unfold(reader, async |reader| match reader {
            Some(reader) => Ok(reader.advance().await?.map(|(row, reader)| (row, Some(reader)))),
            None => Ok(None),
        });
        Ok::<_, Error>(stream::iter(first.map(Ok)).chain(rest))
    };
    stream::once(opened).try_flatten().boxed()
}

pub(crate) async fn count(tier: &PgTier, schema: &BoundSchema, count: &Count) -> Result<u64> {
    let statement = sql::count(Dialect::Postgres, schema, count).map_err(|error| error.with_tier(Role::Truth))?;
    let params = Param::all(&statement.params);
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
    let attempt = Attempt::Query(schema);
    let counted = match tier.replica(&count.preference) {
        Some((replica, replayed)) => replica.judge(replica.read(&statement.sql, &params, attempt, replayed).await, replayed),
        None => None,
    };
    let rows = match counted {
        Some(answer) => answer?,
        None => match read_primary(tier, &count.preference, &statement.sql, &params, attempt).await {
            Err(error) => match tier.late_replica(&count.preference, &error) {
                Some(replica) => {
                    let answer = replica.read(&statement.sql, &params, attempt, None).await;
                    replica.judge(answer, None).unwrap_or(Err(error))?
                }
                None => return Err(error),
            },
            answer => answer?,
        },
    };
    let counted: i64 = match rows.first() {
        Some(row) => row.try_get(0).map_err(|error| Failure::from(error).into_error(attempt))?,
        None => 0,
    };
    Ok(counted.unsigned_abs())
}

async fn read_primary(
    tier: &PgTier,
    preference: &ReadPreference,
    text: &str,
    params: &[&(dyn ToSql + Sync)],
    attempt: Attempt<'_>,
) -> Result<Vec<Row>> {
    tier.primary_for(preference)?.read(text, params, attempt).await
}

async fn open_primary(
    tier: &PgTier,
    preference: &ReadPreference,
    schema: &Arc<BoundSchema>,
    statement: &sql::Statement,
) -> Result<Option<Opened>> {
    open(tier.primary_for(preference)?, schema, statement, None, None).await
}

/// The first row of a query, and the reader of the others.
type Opened = (Option<StoredRow>, Option<Reader>);

/// Begins a query; `None` if the replica has not replayed what it must. The first row is fetched too, so that whatever fails before it can be tried
/// elsewhere.
async fn open(
    pool: &Pool,
    schema: &Arc<BoundSchema>,
    statement: &sql::Statement,
    replayed: Option<Replayed>,
    replica: Option<&Arc<Chosen>>,
) -> Result<Option<Opened>> {
    let attempt = Attempt::Query(schema);
    let limit = pool.limits().statement;
    let mut texts = vec![statement.sql.as_str()];
    texts.extend(replayed.map(|_| Replayed::statement()));
    let mut begun = 0;
    loop {
        begun += 1;
        let (lease, prepared) = pool.lease_prepared(&texts, attempt).await?;
        let started = within(limit, async {
            check_count(&prepared[0], statement.params.len())?;
            let holds = async {
                match replayed {
                    Some(replayed) => replayed.holds(&lease, &prepared[1]).await,
                    None => Ok(true),
                }
            };
            let (holds, rows) = join(holds, lease.query_raw(&prepared[0], Param::all(&statement.params))).await;
            Ok(if holds? { Some(Box::pin(rows?)) } else { None })
        })
        .await;
        let rows = match started {
            Ok(Some(rows)) => rows,
            Ok(None) => {
                let_finish(lease);
                return Ok(None);
            }
            Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => continue,
            Err(failure) => return lease.settle(Err(failure)).map_err(|failure| failure.into_error(attempt)),
        };
        let reader =
            Reader { lease, rows, schema: Arc::clone(schema), columns: statement.columns.clone(), limit, _replica: replica.cloned() };
        return match reader.step().await {
            Ok(Some((row, reader))) => Ok(Some((Some(row), Some(reader)))),
            Ok(None) => Ok(Some((None, None))),
            Err(failure) if failure.is_connection_loss() && begun < ATTEMPTS => continue,
            Err(failure) => Err(failure.into_error(attempt)),
        };
    }
}

/// A query that is being read, on a connection of its own. Rows are fetched as they are asked for. Dropping it ends the query.
struct Reader {
    lease: Lease,
    rows: Pin<Box<RowStream>>,
    schema: Arc<BoundSchema>,
    columns: Vec<usize>,
    limit: Duration,
    /// Is busy with it for so long.
    _replica: Option<Arc<Chosen>>,
}

impl Reader {
    async fn advance(self) -> Result<Option<(StoredRow, Reader)>> {
        let schema = Arc::clone(&self.schema);
        self.step().await.map_err(|failure| failure.into_error(Attempt::Query(&schema)))
    }

    async fn step(mut self) -> Result<Option<(StoredRow, Reader)>, Failure> {
        let row = within(self.limit, async { Ok(self.rows.try_next().await?) }).await;
        match row {
            Ok(Some(row)) => {
                let row = selected_row(&self.schema, &row, self.columns.iter().copied(), 0, self.columns.len())?;
                Ok(Some((row, self)))
            }
            Ok(None) => self.lease.settle(Ok(None)),
            Err(failure) => self.lease.settle(Err(failure)),
        }
    }
}
