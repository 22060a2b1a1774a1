//! PostgreSQL's settings from variables.

use std::time::Duration;

use store_core::{Error, Result};
use tier_pg::PgConfig;

use super::variables::{Variables, invalid};

pub(super) struct PgVariables {
    max_connections: Option<usize>,
    min_connections: Option<usize>,
    max_connection_lifetime: Option<Duration>,
    max_connection_idle_time: Option<Duration>,
    connect_timeout: Option<Duration>,
    acquire_timeout: Option<Duration>,
    statement_timeout: Option<Duration>,
    prepare_timeout: Option<Duration>,
    extensions: Option<String>,
    read_replicas: Option<String>,
    max_replica_lag: Option<Option<Duration>>,
    outside_writers: Option<bool>,
}

pub(super) fn take(variables: &mut Variables) -> Result<PgVariables> {
    Ok(PgVariables {
        max_connections: variables.within("STRATA_PG_MAX_CONNECTIONS", 1..=10_000, "a whole number from 1 to 10000")?,
        min_connections: variables.parse("STRATA_PG_MIN_CONNECTIONS", "a whole number")?,
        max_connection_lifetime: variables.duration("STRATA_PG_MAX_CONNECTION_LIFETIME")?,
        max_connection_idle_time: variables.duration("STRATA_PG_MAX_CONNECTION_IDLE_TIME")?,
        connect_timeout: variables.duration("STRATA_PG_CONNECT_TIMEOUT")?,
        acquire_timeout: variables.duration("STRATA_PG_ACQUIRE_TIMEOUT")?,
        statement_timeout: variables.duration("STRATA_PG_STATEMENT_TIMEOUT")?,
        prepare_timeout: variables.duration("STRATA_PG_PREPARE_TIMEOUT")?,
        extensions: variables.take("STRATA_PG_EXTENSIONS"),
        read_replicas: variables.take("STRATA_PG_READ_REPLICA_URL"),
        max_replica_lag: variables.lifetime("STRATA_PG_MAX_REPLICA_LAG")?,
        outside_writers: variables.parse("STRATA_PG_OUTSIDE_WRITERS", "`true` or `false`")?,
    })
}

impl PgVariables {
    pub(super) fn config(self, url: &str) -> Result<PgConfig> {
        let mut config = PgConfig::from_url(url)?;
        let (most, least) = (self.max_connections.unwrap_or(PgConfig::DEFAULT_MAX_CONNECTIONS), self.min_connections.unwrap_or_default());
        if least > most {
            let problem = format!("is {least}, above STRATA_PG_MAX_CONNECTIONS, which is {most}; raise the one or lower the other");
            return Err(invalid("STRATA_PG_MIN_CONNECTIONS", &problem));
        }
        if let Some(connections) = self.max_connections {
            config = config.with_max_connections(connections);
        }
        if let Some(connections) = self.min_connections {
            config = config.with_min_connections(connections);
        }
        if let Some(lifetime) = self.max_connection_lifetime {
            config = config.with_max_connection_lifetime(lifetime);
        }
        if let Some(idle_time) = self.max_connection_idle_time {
            config = config.with_max_connection_idle_time(idle_time);
        }
        if let Some(limit) = self.connect_timeout {
            config = config.with_connect_timeout(limit);
        }
        if let Some(limit) = self.acquire_timeout {
            config = config.with_acquire_timeout(limit);
        }
        if let Some(limit) = self.statement_timeout {
            config = config.with_statement_timeout(limit);
        }
        if let Some(limit) = self.prepare_timeout {
            config = config.with_prepare_timeout(limit);
        }
        for extension in self.extensions.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            config = config.with_extension(extension);
        }
        if let Some(watched) = self.outside_writers {
            config = config.with_outside_writers(watched);
        }
        for url in self.read_replicas.iter().flat_map(|list| urls(list)) {
            let said = |error: Error| invalid("STRATA_PG_READ_REPLICA_URL", &format!("has a URL that cannot be used: {error}"));
            config = config.with_read_replica(&url).map_err(said)?;
        }
        if let Some(lag) = self.max_replica_lag {
            config = config.with_max_replica_lag(lag);
        }
        Ok(config)
    }
}

/// The URLs of a list. A comma may also part the hosts of one URL: the next URL begins with its scheme.
fn urls(list: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in list.split(',').filter(|part| !part.trim().is_empty()) {
        match urls.last_mut() {
            Some(url) if !part.trim_start().starts_with("postgres") || !part.contains("://") => {
                url.push(',');
                url.push_str(part.trim());
            }
            _ => urls.push(part.trim().to_owned()),
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_urls_is_parted_at_their_schemes() {
        assert_eq!(urls("postgres://a/x"), ["postgres://a/x"]);
        assert_eq!(
            urls("postgres://a:1,b:2/x, postgresql://c/x,postgres://d,e"),
            ["postgres://a:1,b:2/x", "postgresql://c/x", "postgres://d,e"]
        );
        assert_eq!(urls("postgres://a/x, ,postgres://b/y,"), ["postgres://a/x", "postgres://b/y"]);
        assert_eq!(urls("nonsense,x"), ["nonsense,x"]);
    }
}
