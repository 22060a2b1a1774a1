//! A store's settings from environment variables.

#[cfg(feature = "encryption")]
mod keys;
#[cfg(all(
    test,
    not(any(feature = "redis", feature = "pg", feature = "sqlite", feature = "json", feature = "messagepack", feature = "encryption"))
))]
mod lacking;
#[cfg(feature = "pg")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod variables;

use std::sync::Arc;
use std::time::Duration;

use store_core::{
    Acknowledge, Codec, Eviction, MigrationSettings, PostcardCodec, Result, Settings, Store, StoreBuilder, UpgradePolicy, WriteMode,
};
use tier_mem::MemTier;
use variables::invalid;

pub(crate) use variables::Variables;

const LEAST_LOG_RETENTION: Duration = Duration::from_secs(10 * 60);

/// Starts a builder from the variables of this process.
pub(crate) async fn builder() -> Result<StoreBuilder<MemTier>> {
    builder_of(Variables::of_process()?).await
}

/// Starts a builder from variables. Every one of Strata's must be known.
pub(crate) async fn builder_of(mut variables: Variables) -> Result<StoreBuilder<MemTier>> {
    let settings = settings(&mut variables)?;
    #[cfg(feature = "redis")]
    let redis = redis(&mut variables)?;
    #[cfg(not(feature = "redis"))]
    refuse_redis(&mut variables)?;
    let truth = truth(&mut variables)?;
    #[cfg(feature = "encryption")]
    let keys = keys::take(&mut variables)?;
    #[cfg(not(feature = "encryption"))]
    refuse_keys(&mut variables)?;
    variables.finish()?;

    let builder = Store::builder().near(MemTier::new()).settings(settings);
    #[cfg(feature = "encryption")]
    let builder = match keys {
        Some(keys::Keys::Here(keys)) => builder.encryption(keys),
        Some(keys::Keys::File(keys)) => builder.encryption(keys),
        None => builder,
    };
    #[cfg(feature = "redis")]
    let builder = match redis {
        Some(config) if truth.is_some() => builder.tier(tier_redis::RedisTier::connect_or_keep_trying(config).await?),
        Some(config) => builder.tier(tier_redis::RedisTier::connect(config).await?),
        None => builder,
    };
    match truth {
        None => Ok(builder),
        #[cfg(feature = "pg")]
        Some(Truth::Postgres(config)) => Ok(builder.tier(tier_pg::PgTier::connect(*config).await?)),
        #[cfg(feature = "sqlite")]
        Some(Truth::Sqlite(config)) => Ok(builder.tier(tier_sqlite::SqliteTier::open(config).await?)),
    }
}

fn settings(variables: &mut Variables) -> Result<Settings> {
    let mut settings = Settings::default();
    let set = |place: &mut _, value: Option<_>| {
        if let Some(value) = value {
            *place = value;
        }
    };
    set(&mut settings.l1_ttl, variables.lifetime("STRATA_L1_TTL")?);
    set(&mut settings.l2_ttl, variables.lifetime("STRATA_L2_TTL")?);
    if let Some(entries) = variables.within("STRATA_L1_MAX_ENTRIES", 1.., "a whole number from 1 up; unset it for no limit")? {
        settings.l1_max_entries = Some(entries);
    }
    let evictions = [("lru", Eviction::Lru), ("lfu", Eviction::Lfu), ("fifo", Eviction::Fifo)];
    settings.l1_eviction = variables.choice("STRATA_L1_EVICTION", &evictions)?.unwrap_or(settings.l1_eviction);
    let modes = [
        ("write_through", WriteMode::WriteThrough),
        ("write_through_lazy_l1", WriteMode::WriteThroughLazyL1),
        ("write_behind", WriteMode::WriteBehind),
    ];
    settings.write_mode = variables.choice("STRATA_WRITE_MODE", &modes)?.unwrap_or(settings.write_mode);
    let policies = [("on_read", UpgradePolicy::OnRead), ("write_back", UpgradePolicy::WriteBack)];
    settings.upgrade_policy = variables.choice("STRATA_UPGRADE_POLICY", &policies)?.unwrap_or(settings.upgrade_policy);
    write_behind(variables, &mut settings)?;
    migration(variables, &mut settings.migration)?;
    settings.query_max_entries =
        variables.within("STRATA_QUERY_MAX_ENTRIES", 1.., "a whole number from 1 up")?.unwrap_or(settings.query_max_entries);
    settings.query_max_rows =
        variables.within("STRATA_QUERY_MAX_ROWS", 1.., "a whole number from 1 up")?.unwrap_or(settings.query_max_rows);
    settings.negative_ttl = variables.duration("STRATA_NEGATIVE_TTL")?.or(settings.negative_ttl);
    settings.fill_lease = variables.duration("STRATA_FILL_LEASE")?.unwrap_or(settings.fill_lease);
    settings.load_timeout = variables.duration("STRATA_LOAD_TIMEOUT")?.unwrap_or(settings.load_timeout);
    settings.operation_timeout = variables.duration("STRATA_OPERATION_TIMEOUT")?.unwrap_or(settings.operation_timeout);
    settings.transaction_timeout = variables.duration("STRATA_TRANSACTION_TIMEOUT")?.unwrap_or(settings.transaction_timeout);
    settings.flight_wait = variables.duration("STRATA_FLIGHT_WAIT")?.unwrap_or(settings.flight_wait);
    settings.freshness = variables.duration("STRATA_FRESHNESS")?.unwrap_or(settings.freshness);
    settings.log_retention = variables.duration("STRATA_LOG_RETENTION")?.unwrap_or(settings.log_retention);
    settings.stale_on_error = variables.duration("STRATA_STALE_ON_ERROR")?.or(settings.stale_on_error);
    settings.soft_timeout = variables.duration("STRATA_SOFT_TIMEOUT")?.or(settings.soft_timeout);
    settings.refresh_ahead =
        variables.within("STRATA_REFRESH_AHEAD", 0.0..1.0, "a part from 0 to below 1")?.unwrap_or(settings.refresh_ahead);
    settings.jitter = variables.within("STRATA_JITTER", 0.0..1.0, "a part from 0 to below 1")?.unwrap_or(settings.jitter);
    settings.truth_writes = variables.within("STRATA_TRUTH_WRITES", 1.., "a whole number from 1 up")?.unwrap_or(settings.truth_writes);
    settings.truth_reads = variables.within("STRATA_TRUTH_READS", 1.., "a whole number from 1 up")?.unwrap_or(settings.truth_reads);
    settings.verify = variables.within("STRATA_VERIFY", 0.0..=1.0, "a part from 0 to 1")?.unwrap_or(settings.verify);
    let breaker = &mut settings.breaker;
    breaker.enabled = variables.parse("STRATA_BREAKER", "`true` or `false`")?.unwrap_or(breaker.enabled);
    let failures = "a whole number from 1 up; to turn the breakers off, set STRATA_BREAKER=false";
    breaker.failures = variables.within("STRATA_BREAKER_FAILURES", 1.., failures)?.unwrap_or(breaker.failures);
    breaker.cool_down = variables.duration("STRATA_BREAKER_COOL_DOWN")?.unwrap_or(breaker.cool_down);
    breaker.longest_cool_down = variables.duration("STRATA_BREAKER_LONGEST_COOL_DOWN")?.unwrap_or(breaker.longest_cool_down);
    settings.update_retries =
        variables.within("STRATA_UPDATE_RETRIES", 0..=1_000, "a whole number from 0 to 1000")?.unwrap_or(settings.update_retries);
    settings.retries = variables.within("STRATA_RETRIES", 0..=10, "a whole number from 0 to 10")?.unwrap_or(settings.retries);
    settings.create_tables = variables.parse("STRATA_CREATE_TABLES", "`true` or `false`")?.unwrap_or(settings.create_tables);
    if let Some(name) = variables.take("STRATA_CODEC") {
        settings.codec = codec(&name)?;
    }
    check(&settings)?;
    Ok(settings)
}

fn write_behind(variables: &mut Variables, settings: &mut Settings) -> Result<()> {
    settings.journal = variables.take("STRATA_JOURNAL").map(Into::into);
    let behind = &mut settings.write_behind;
    let number = "a whole number from 1 up";
    behind.flush_interval = variables.duration("STRATA_WRITE_BEHIND_FLUSH_INTERVAL")?.unwrap_or(behind.flush_interval);
    behind.flush_threshold = variables.within("STRATA_WRITE_BEHIND_FLUSH_THRESHOLD", 1.., number)?.unwrap_or(behind.flush_threshold);
    behind.max_retries =
        variables.within("STRATA_WRITE_BEHIND_MAX_RETRIES", 0..=10, "a whole number from 0 to 10")?.unwrap_or(behind.max_retries);
    behind.max_pending = variables.within("STRATA_WRITE_BEHIND_MAX_PENDING", 1.., number)?.unwrap_or(behind.max_pending);
    behind.journal_bytes =
        variables.within("STRATA_WRITE_BEHIND_JOURNAL_BYTES", 4_096.., "a whole number from 4096 up")?.unwrap_or(behind.journal_bytes);
    behind.skip_damage_up_to =
        variables.parse("STRATA_WRITE_BEHIND_SKIP_DAMAGE_UP_TO", "a whole number")?.unwrap_or(behind.skip_damage_up_to);
    let levels = [("memory", Acknowledge::Memory), ("journal", Acknowledge::Journal), ("truth", Acknowledge::Truth)];
    behind.acknowledge = variables.choice("STRATA_WRITE_BEHIND_ACKNOWLEDGE", &levels)?.unwrap_or(behind.acknowledge);
    Ok(())
}

fn migration(variables: &mut Variables, migration: &mut MigrationSettings) -> Result<()> {
    migration.migrator_wait = variables.duration("STRATA_MIGRATION_MIGRATOR_WAIT")?.unwrap_or(migration.migrator_wait);
    migration.lock_timeout = variables.duration("STRATA_MIGRATION_LOCK_TIMEOUT")?.unwrap_or(migration.lock_timeout);
    migration.patience = variables.duration("STRATA_MIGRATION_PATIENCE")?.unwrap_or(migration.patience);
    migration.large_table = variables.parse("STRATA_MIGRATION_LARGE_TABLE", "a whole number")?.unwrap_or(migration.large_table);
    migration.partition_upkeep = variables.duration("STRATA_MIGRATION_PARTITION_UPKEEP")?.unwrap_or(migration.partition_upkeep);
    Ok(())
}

/// What settings must be to one another. `build` checks it too, in the words of [`Settings`].
fn check(settings: &Settings) -> Result<()> {
    if settings.breaker.longest_cool_down < settings.breaker.cool_down {
        let (longest, cool_down) = (settings.breaker.longest_cool_down, settings.breaker.cool_down);
        let problem = format!("is {longest:?}, below STRATA_BREAKER_COOL_DOWN, which is {cool_down:?}; set it to a longer time");
        return Err(invalid("STRATA_BREAKER_LONGEST_COOL_DOWN", &problem));
    }
    if settings.soft_timeout.is_some() && settings.stale_on_error.is_none() {
        return Err(invalid(
            "STRATA_SOFT_TIMEOUT",
            "has no effect without STRATA_STALE_ON_ERROR, which says what may be answered instead; set both",
        ));
    }
    if settings.log_retention < LEAST_LOG_RETENTION {
        return Err(invalid("STRATA_LOG_RETENTION", "is below ten minutes; a follower that is away for a moment would lose its caches"));
    }
    Ok(())
}

fn codec(name: &str) -> Result<Arc<dyn Codec>> {
    #[cfg(not(all(feature = "json", feature = "messagepack")))]
    let lacking = invalid("STRATA_CODEC", "names a codec that this build lacks; turn on Strata's feature of that name");
    match name {
        "postcard" => Ok(Arc::new(PostcardCodec)),
        #[cfg(feature = "json")]
        "json" => Ok(Arc::new(store_core::JsonCodec)),
        #[cfg(feature = "messagepack")]
        "messagepack" => Ok(Arc::new(store_core::MessagePackCodec)),
        #[cfg(not(feature = "json"))]
        "json" => Err(lacking),
        #[cfg(not(feature = "messagepack"))]
        "messagepack" => Err(lacking),
        _ => Err(invalid("STRATA_CODEC", "is none of: postcard, json, messagepack")),
    }
}

#[cfg(not(feature = "encryption"))]
fn refuse_keys(variables: &mut Variables) -> Result<()> {
    for name in ["STRATA_ENCRYPTION_KEYS", "STRATA_ENCRYPTION_KEYS_FILE"] {
        if variables.take(name).is_some() {
            return Err(invalid(name, "is set, and this build cannot encrypt; turn on Strata's feature `encryption`, or unset it"));
        }
    }
    Ok(())
}

#[cfg(not(feature = "redis"))]
fn refuse_redis(variables: &mut Variables) -> Result<()> {
    let name = variables.take("REDIS_URL").map(|_| "REDIS_URL".to_owned()).or_else(|| variables.first_of("STRATA_REDIS_"));
    match name {
        None => Ok(()),
        Some(name) => Err(invalid(&name, "is set, and this build lacks Redis; turn on Strata's feature `redis`, or unset it")),
    }
}

#[cfg(feature = "redis")]
fn redis(variables: &mut Variables) -> Result<Option<tier_redis::RedisConfig>> {
    let url = variables.take("REDIS_URL");
    let setting = variables.first_of("STRATA_REDIS_");
    let password = variables.take("STRATA_REDIS_PASSWORD");
    let database = variables.parse("STRATA_REDIS_DATABASE", "a database number")?;
    let pool_size = variables.within("STRATA_REDIS_POOL_SIZE", 1..=1_024, "a whole number from 1 to 1024")?;
    let dial = variables.duration("STRATA_REDIS_DIAL_TIMEOUT")?;
    let read = variables.duration("STRATA_REDIS_READ_TIMEOUT")?;
    let write = variables.duration("STRATA_REDIS_WRITE_TIMEOUT")?;
    let key_root = variables.take("STRATA_REDIS_KEY_ROOT");
    let channel = variables.take("STRATA_REDIS_INVALIDATION_CHANNEL");
    let Some(url) = url else {
        return match setting {
            None => Ok(None),
            Some(name) => Err(invalid(&name, "is set, and REDIS_URL is not; set REDIS_URL to the server's address, or unset this one")),
        };
    };
    if !url.contains("://") {
        return Err(invalid("REDIS_URL", "has no scheme; put `redis://` in front of the server's address, as in redis://localhost:6379"));
    }
    let mut config = tier_redis::RedisConfig::from_url(&url)?;
    if let Some(password) = password {
        config = config.with_password(password);
    }
    if let Some(database) = database {
        config = config.with_database(database);
    }
    if let Some(pool_size) = pool_size {
        config = config.with_pool_size(pool_size);
    }
    if let Some(dial) = dial {
        config = config.with_dial_timeout(dial);
    }
    if let Some(read) = read {
        config = config.with_read_timeout(read);
    }
    if let Some(write) = write {
        config = config.with_write_timeout(write);
    }
    if let Some(root) = key_root {
        config = config.with_key_root(root);
    }
    if let Some(channel) = channel {
        config = config.with_invalidation_channel(channel);
    }
    Ok(Some(config))
}

enum Truth {
    #[cfg(feature = "pg")]
    Postgres(Box<tier_pg::PgConfig>),
    #[cfg(feature = "sqlite")]
    Sqlite(tier_sqlite::SqliteConfig),
}

fn truth(variables: &mut Variables) -> Result<Option<Truth>> {
    let url = variables.take("DATABASE_URL");
    let of_postgres = variables.first_of("STRATA_PG_");
    let of_sqlite = variables.first_of("STRATA_SQLITE_");
    #[cfg(feature = "pg")]
    let postgres = postgres::take(variables)?;
    #[cfg(feature = "sqlite")]
    let sqlite = sqlite::take(variables)?;
    let names = if url.is_some() { "names another database" } else { "is not set" };
    let without_postgres = match of_postgres {
        None => Ok(()),
        Some(name) if cfg!(feature = "pg") => {
            Err(invalid(&name, &format!("is set, and DATABASE_URL {names}; give DATABASE_URL a `postgres://` URL, or unset this one")))
        }
        Some(name) => Err(invalid(&name, "is set, and this build lacks PostgreSQL; turn on Strata's feature `pg`, or unset it")),
    };
    let without_sqlite = match of_sqlite {
        None => Ok(()),
        Some(name) if cfg!(feature = "sqlite") => {
            Err(invalid(&name, &format!("is set, and DATABASE_URL {names}; give DATABASE_URL a file, `sqlite:FILE`, or unset this one")))
        }
        Some(name) => Err(invalid(&name, "is set, and this build lacks SQLite; turn on Strata's feature `sqlite`, or unset it")),
    };
    let Some(url) = url.map(with_lower_case_scheme) else { return without_postgres.and(without_sqlite).map(|()| None) };
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        without_sqlite?;
        #[cfg(feature = "pg")]
        return postgres.config(&url).map(|config| Some(Truth::Postgres(Box::new(config))));
        #[cfg(not(feature = "pg"))]
        return Err(invalid("DATABASE_URL", "names PostgreSQL, which this build lacks; turn on Strata's feature `pg`"));
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('?') {
            return Err(invalid("DATABASE_URL", "must be `sqlite:` and a file's path, without options"));
        }
        without_postgres?;
        #[cfg(feature = "sqlite")]
        return Ok(Some(Truth::Sqlite(sqlite.config(path))));
        #[cfg(not(feature = "sqlite"))]
        return Err(invalid("DATABASE_URL", &format!("names SQLite ({path}), which this build lacks; turn on Strata's feature `sqlite`")));
    }
    if !url.contains("://") {
        let problem = "has no scheme; put `postgres://` in front of a server's address, or `sqlite:` in front of a file's path";
        return Err(invalid("DATABASE_URL", problem));
    }
    Err(invalid("DATABASE_URL", "begins neither with `postgres://` nor with `sqlite:`"))
}

/// A URL whose scheme is in lower case, as it may be in any.
fn with_lower_case_scheme(url: String) -> String {
    match url.split_once(':') {
        Some((scheme, rest)) => format!("{}:{rest}", scheme.to_ascii_lowercase()),
        None => url,
    }
}
