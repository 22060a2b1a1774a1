//! PostgreSQL and Redis for whoever needs them: those that the environment names, else throw-away
//! ones from installed programs, else the same after installing them, else docker's.

mod apt;
mod compose;
mod given;
mod postgres;
mod redis;

use std::env;

use anyhow::Result;
use store_testkit::servers::{PostgresPrograms, PostgresServer, RedisPrograms, RedisServer};

pub(crate) use compose::Compose;
pub(crate) use given::{postgres_answers, redis_answers};
pub(crate) use postgres::provide as provide_postgres;
pub(crate) use redis::provide as provide_redis;

/// Where a service comes from.
#[derive(Debug)]
pub(crate) enum Source<Server> {
    /// The environment named it.
    Given,
    /// It runs from installed programs.
    Started(Server),
    /// Docker runs it.
    Composed(Compose),
}

/// A service and its URL.
#[derive(Debug)]
pub(crate) struct Service<Server> {
    pub(crate) url: String,
    pub(crate) source: Source<Server>,
}

/// Both services, which end when this is dropped or when this program dies.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) postgres: Service<PostgresServer>,
    pub(crate) redis: Service<RedisServer>,
}

impl Services {
    /// Finds both or starts them, installing what is missing.
    pub(crate) fn provide() -> Result<Self> {
        Ok(Self { postgres: postgres::provide(named("DATABASE_URL"))?, redis: redis::provide(named("REDIS_URL"))? })
    }

    /// The variables that lead programs to the services.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.postgres.url, &self.redis.url)
    }
}

/// The value of an environment variable that is set and not empty.
pub(crate) fn named(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The variables that lead programs to services at these URLs, and tests that own their servers to
/// the installed programs.
pub(crate) fn environment(database_url: &str, redis_url: &str) -> Vec<(&'static str, String)> {
    let mut variables = vec![("DATABASE_URL", database_url.to_owned()), ("REDIS_URL", redis_url.to_owned())];
    if let Ok(programs) = PostgresPrograms::find() {
        let directory = programs.directory.display().to_string();
        variables.push(("STRATA_TEST_PG_BIN", directory));
        if let Some(account) = programs.account {
            variables.push(("STRATA_TEST_PG_USER", account.name));
        }
    }
    if let Ok(programs) = RedisPrograms::find() {
        let server = programs.server.display().to_string();
        variables.push(("STRATA_TEST_REDIS_SERVER", server));
        let cli = programs.cli.display().to_string();
        variables.push(("STRATA_TEST_REDIS_CLI", cli));
    }
    variables
}
