//! PostgreSQL and Redis, and the part of them that a suite has for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use fred::prelude::{Builder, Client as RedisClient, ClientLike, Config as RedisClientConfig};
use fred::types::{ClusterHash, CustomCommand, Value};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, Store};
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::player::Player;
use crate::raw;
use crate::scale::Scale;

/// The most models that a table is filled with at once.
const CHUNK: usize = 1_000;

/// The servers that the environment names.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: Url,
    redis: Url,
}

impl Servers {
    pub(crate) fn from_env() -> Result<Self> {
        let read = |name: &str| -> Result<Url> {
            let url = std::env::var(name).with_context(|| format!("{name} is not set: run `cargo xtask bench`"))?;
            url.parse().with_context(|| format!("{name} is no URL"))
        };
        Ok(Servers { postgres: read("DATABASE_URL")?, redis: read("REDIS_URL")? })
    }

    /// What a reader of the figures must know of the servers.
    pub(crate) async fn describe(&self) -> Result<String> {
        let client = postgres(&self.postgres).await?;
        let row = client
            .query_one("SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')", &[])
            .await?;
        let [version, fsync, synchronous]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(format!("PostgreSQL {version} with fsync = {fsync}, synchronous_commit = {synchronous}; {cores} cores, shared with the servers"))
    }

    /// Lets work have a database and keys of its own, which are removed at the end, whichever way it ends.
    pub(crate) async fn stage<R>(&self, work: impl AsyncFnOnce(&Stage) -> Result<R>) -> Result<R> {
        static STAGES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("strata_bench_{}_{}", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let server = postgres(&self.postgres).await?;
        server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let mut database = self.postgres.clone();
        database.set_path(&name);
        let stage = Stage { database, redis: self.redis.clone(), name };
        let result = work(&stage).await;
        let dropped = server.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", stage.name)).await;
        let cleared = stage.clear_redis().await;
        let result = result?;
        dropped.context("the database cannot be dropped")?;
        cleared.context("the keys cannot be removed")?;
        Ok(result)
    }

    /// Lets work have a stage for each of the growing tables of players, which are there.
    pub(crate) async fn stage_each_size(&self, scale: &Scale, mut work: impl AsyncFnMut(&Stage, usize) -> Result<()>) -> Result<()> {
        for rows in scale.growing_rows() {
            self.stage(async |stage| {
                stage.fill(rows).await?;
                work(stage, rows).await
            })
            .await?;
        }
        Ok(())
    }
}

/// A database, and keys in Redis, that nobody else uses.
#[derive(Debug)]
pub(crate) struct Stage {
    database: Url,
    redis: Url,
    name: String,
}

impl Stage {
    /// A tier of truth.
    pub(crate) async fn truth(&self) -> Result<PgTier> {
        Ok(PgTier::connect(PgConfig::from_url(self.database.as_str())?).await?)
    }

    /// A shared tier.
    pub(crate) async fn shared(&self) -> Result<RedisTier> {
        Ok(RedisTier::connect(RedisConfig::from_url(self.redis.as_str())?.with_key_root(self.name.clone())).await?)
    }

    /// A store of memory and PostgreSQL. Its memory is empty.
    pub(crate) async fn store(&self) -> Result<Store> {
        Ok(Store::builder().near(MemTier::new()).tier(self.truth().await?).schema::<Player>().build().await?)
    }

    /// A connection without Strata.
    pub(crate) async fn postgres(&self) -> Result<Client> {
        postgres(&self.database).await
    }

    /// One for each caller.
    pub(crate) async fn postgres_each(&self, callers: usize) -> Result<Vec<Arc<Client>>> {
        let mut clients = Vec::with_capacity(callers);
        for _ in 0..callers {
            clients.push(Arc::new(self.postgres().await?));
        }
        Ok(clients)
    }

    /// A connection without Strata.
    pub(crate) async fn redis(&self) -> Result<RedisClient> {
        let client = Builder::from_config(RedisClientConfig::from_url(self.redis.as_str())?).build()?;
        client.init().await?;
        Ok(client)
    }

    /// The name of a key beside those of Strata.
    pub(crate) fn raw_key(&self, id: i64) -> String {
        format!("{}:raw:{id}", self.name)
    }

    /// Fills the table of Strata and the one beside it with the players from 1 on.
    pub(crate) async fn fill(&self, rows: usize) -> Result<()> {
        let store = self.store().await?;
        store.collection::<Player>()?.import((1..=rows as i64).map(|id| Player::new(id, 0))).run().await?;
        store.close().await?;
        let client = self.postgres().await?;
        raw::create(&client).await?;
        client.batch_execute(&format!("INSERT INTO {} SELECT {} FROM bench_player", raw::TABLE, raw::COLUMNS)).await?;
        client.batch_execute("VACUUM ANALYZE").await?;
        Ok(())
    }

    /// Reads all players, so that every tier above the truth holds them.
    pub(crate) async fn warm(&self, players: &Collection<Player>, rows: usize) -> Result<()> {
        let keys: Vec<i64> = (1..=rows as i64).collect();
        for keys in keys.chunks(CHUNK) {
            players.get_many(keys.to_vec()).await?;
        }
        Ok(())
    }

    async fn clear_redis(&self) -> Result<()> {
        let client = self.redis().await?;
        let mut cursor = "0".to_owned();
        loop {
            let arguments = [cursor.as_str(), "MATCH", &format!("*{}*", self.name), "COUNT", "10000"].map(str::to_owned).to_vec();
            let scan = CustomCommand::new_static("SCAN", ClusterHash::FirstKey, false);
            let (next, keys): (String, Vec<String>) = client.custom(scan, arguments).await?;
            if !keys.is_empty() {
                let unlink = CustomCommand::new_static("UNLINK", ClusterHash::FirstKey, false);
                client.custom::<Value, _>(unlink, keys).await?;
            }
            cursor = next;
            if cursor == "0" {
                return Ok(client.quit().await?);
            }
        }
    }
}

async fn postgres(url: &Url) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await.context("PostgreSQL does not answer")?;
    // It ends with its client, who hears of its errors.
    tokio::spawn(connection);
    Ok(client)
}
