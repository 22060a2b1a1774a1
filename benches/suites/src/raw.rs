//! What a program without Strata would do: a table without versions, and prepared statements.

use anyhow::{Context, Result};
use futures_util::pin_mut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use crate::player::Player;

pub(crate) const TABLE: &str = "raw_player";
pub(crate) const COLUMNS: &str = "id, name, region, level, score, active, email, joined";

const TYPES: [Type; 8] = [Type::INT8, Type::TEXT, Type::TEXT, Type::INT8, Type::FLOAT8, Type::BOOL, Type::TEXT, Type::TIMESTAMPTZ];
const MERGE: &str = "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, region = EXCLUDED.region, level = EXCLUDED.level, \
    score = EXCLUDED.score, active = EXCLUDED.active, email = EXCLUDED.email, joined = EXCLUDED.joined";

/// Creates the table.
pub(crate) async fn create(client: &Client) -> Result<()> {
    let sql = format!(
        "CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, name TEXT NOT NULL, region TEXT NOT NULL, level BIGINT NOT NULL, \
         score DOUBLE PRECISION NOT NULL, active BOOLEAN NOT NULL, email TEXT, joined TIMESTAMPTZ NOT NULL)"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// A connection that reads by key.
#[derive(Clone)]
pub(crate) struct Read(Statement);

impl Read {
    /// Reads the table of Strata, so that both sides ask for the same pages.
    pub(crate) async fn prepare(client: &Client) -> Result<Self> {
        Ok(Read(client.prepare(&format!("SELECT {COLUMNS} FROM bench_player WHERE id = $1")).await?))
    }

    pub(crate) async fn run(&self, client: &Client, id: i64) -> Result<Player> {
        let rows = client.query(&self.0, &[&id]).await?;
        decode(rows.first().context("the row is not there")?)
    }
}

fn decode(row: &Row) -> Result<Player> {
    Ok(Player {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        region: row.try_get(2)?,
        level: row.try_get(3)?,
        score: row.try_get(4)?,
        active: row.try_get(5)?,
        email: row.try_get(6)?,
        joined: row.try_get(7)?,
    })
}

fn params(player: &Player) -> [&(dyn ToSql + Sync); 8] {
    let Player { id, name, region, level, score, active, email, joined } = player;
    [id, name, region, level, score, active, email, joined]
}

/// A connection that writes one row.
#[derive(Clone)]
pub(crate) struct Upsert(Statement);

impl Upsert {
    pub(crate) async fn prepare(client: &Client) -> Result<Self> {
        let sql = format!("INSERT INTO {TABLE} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) {MERGE}");
        Ok(Upsert(client.prepare(&sql).await?))
    }

    pub(crate) async fn run(&self, client: &Client, player: &Player) -> Result<()> {
        client.execute(&self.0, &params(player)).await?;
        Ok(())
    }
}

/// A connection that writes many rows: COPY into a temporary table, and a merge.
pub(crate) struct Bulk {
    client: Client,
    copy: Statement,
    merge: Statement,
}

impl Bulk {
    pub(crate) async fn prepare(client: Client) -> Result<Self> {
        client.batch_execute(&format!("CREATE TEMPORARY TABLE incoming (LIKE {TABLE}) ON COMMIT DELETE ROWS")).await?;
        let copy = client.prepare(&format!("COPY incoming ({COLUMNS}) FROM STDIN (FORMAT BINARY)")).await?;
        let merge = client.prepare(&format!("INSERT INTO {TABLE} ({COLUMNS}) SELECT {COLUMNS} FROM incoming {MERGE}")).await?;
        Ok(Bulk { client, copy, merge })
    }

    pub(crate) async fn run(&mut self, players: &[Player]) -> Result<()> {
        let transaction = self.client.transaction().await?;
        let writer = BinaryCopyInWriter::new(transaction.copy_in(&self.copy).await?, &TYPES);
        pin_mut!(writer);
        for player in players {
            writer.as_mut().write(&params(player)).await?;
        }
        writer.finish().await?;
        transaction.execute(&self.merge, &[]).await?;
        Ok(transaction.commit().await?)
    }
}
