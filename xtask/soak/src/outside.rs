//! What changes behind the store's back: rows that are changed without a row of the log, and the numbers that loads bring.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, NoTls};

use crate::history::now;

/// How long a statement may take, and a connection.
const LIMIT: Duration = Duration::from_secs(3);

/// How many keys there are of either kind, and in how many categories and pages they lie.
const KEYS: u64 = 512;
const CATEGORIES: u64 = 64;
const PAGES: u64 = 32;
const PAGE: u64 = KEYS / PAGES;

/// How long one page is changed before it is left alone, so that a copy which came to stay is found out; in nanoseconds.
const TURN: u64 = 1_000_000_000;

/// The page that all processes change just now, now and then another.
pub(crate) fn changing_page() -> u64 {
    if fastrand::u32(..10) == 0 { fastrand::u64(..PAGES) } else { now() / TURN % PAGES }
}

/// A page that is being changed, or was a moment ago.
pub(crate) fn interesting_page() -> u64 {
    (now() / TURN).saturating_sub(fastrand::u64(..4)) % PAGES
}

/// The keys that are shown on a page.
pub(crate) fn keys_of_page(page: u64) -> std::ops::RangeInclusive<u64> {
    page * PAGE + 1..=(page + 1) * PAGE
}

/// The category of a key.
pub(crate) fn category(key: u64) -> u64 {
    key % CATEGORIES
}

/// Makes the rows of both kinds, when the workers have made the table of one of them.
pub(crate) fn make_rows() -> String {
    format!(
        "CREATE TABLE soak_source (id BIGINT PRIMARY KEY, number BIGINT NOT NULL) WITH (fillfactor = 50);
         INSERT INTO soak_source SELECT id, 1 FROM generate_series(1, {KEYS}) AS id;
         INSERT INTO soak_tagged (id, category, number, _version)
             SELECT id, id % {CATEGORIES}, 1, nextval('_strata_version') FROM generate_series(1, {KEYS}) AS id;"
    )
}

/// Which rows are changed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    One(u64),
    Category(u64),
    Page(u64),
}

impl Rows {
    fn condition(self) -> String {
        match self {
            Rows::One(key) => format!("id = {key}"),
            Rows::Category(category) => format!("id % {CATEGORIES} = {category}"),
            Rows::Page(page) => format!("(id - 1) / {PAGE} = {page}"),
        }
    }
}

/// A connection that knows nothing of the store.
#[derive(Debug)]
pub(crate) struct Outside {
    url: String,
    client: Mutex<Option<Client>>,
}

impl Outside {
    pub(crate) fn new(url: &str) -> Self {
        Outside { url: url.to_owned(), client: Mutex::new(None) }
    }

    /// Makes the numbers of some rows grow; answers which rows have which numbers then.
    pub(crate) async fn grow(&self, table: &str, rows: Rows) -> Result<Vec<(u64, u64)>> {
        // In the order of keys, so that no two of them wait for each other.
        let statement = format!(
            "WITH locked AS MATERIALIZED (SELECT id FROM {table} WHERE {} ORDER BY id FOR UPDATE)
             UPDATE {table} AS t SET number = t.number + 1 FROM locked WHERE t.id = locked.id RETURNING t.id, t.number",
            rows.condition()
        );
        self.query(&statement, &[]).await
    }

    /// The numbers of the source.
    pub(crate) async fn look(&self, keys: &[i64]) -> Result<Vec<(u64, u64)>> {
        self.query("SELECT id, number FROM soak_source WHERE id = ANY($1)", keys).await
    }

    async fn query(&self, statement: &str, keys: &[i64]) -> Result<Vec<(u64, u64)>> {
        let mut client = self.client.lock().await;
        let outcome = tokio::time::timeout(LIMIT, query(&mut client, &self.url, statement, keys)).await;
        let outcome = outcome.context("PostgreSQL takes too long").and_then(|outcome| outcome);
        if outcome.is_err() {
            *client = None;
        }
        outcome
    }
}

async fn query(kept: &mut MutexGuard<'_, Option<Client>>, url: &str, statement: &str, keys: &[i64]) -> Result<Vec<(u64, u64)>> {
    if kept.is_none() {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        **kept = Some(client);
    }
    let client = kept.as_ref().context("there is no connection")?;
    let rows = match keys {
        [] => client.query(statement, &[]).await?,
        keys => client.query(statement, &[&keys]).await?,
    };
    Ok(rows.iter().map(|row| (row.get::<_, i64>(0).unsigned_abs(), row.get::<_, i64>(1).unsigned_abs())).collect())
}
