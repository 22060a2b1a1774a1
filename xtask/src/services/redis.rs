use anyhow::{Context, Result};
use store_testkit::servers::{RedisOptions, RedisPrograms, RedisServer};

use super::apt::Apt;
use super::{Compose, Service, Source, given};
use crate::report;

/// Takes the service at the URL that the environment names, or starts one.
pub(crate) fn provide(named: Option<String>) -> Result<Service<RedisServer>> {
    if let Some(url) = named {
        given::redis_answers(&url).map_err(|error| error.context("the Redis of REDIS_URL (unset that to get a throw-away one)"))?;
        report::note("Redis: the one of REDIS_URL");
        if RedisPrograms::find().is_err() {
            report::note("redis-server is not installed: tests that break a server of their own will fail");
        }
        return Ok(Service { url, source: Source::Given });
    }
    match programs()? {
        Some(programs) => {
            let server = RedisServer::start(&RedisOptions { programs: Some(programs.clone()), ..RedisOptions::default() })?;
            report::note(&format!("Redis: from {}, on port {}", programs.server.display(), server.port()));
            Ok(Service { url: server.url(), source: Source::Started(server) })
        }
        None => Compose::start("redis")
            .map(|(port, compose)| Service { url: format!("redis://127.0.0.1:{port}"), source: Source::Composed(compose) }),
    }
}

/// The installation, installing it if it is missing; none if docker must do.
fn programs() -> Result<Option<RedisPrograms>> {
    if let Ok(programs) = RedisPrograms::find() {
        return Ok(Some(programs));
    }
    match Apt::find() {
        Some(apt) if apt.is_allowed() => {
            apt.install(&["redis-server"])?;
            RedisPrograms::find().map(Some).context("after installing the package redis-server")
        }
        apt => {
            let commands = apt.map(|apt| vec![apt.line(&["redis-server"])]);
            Compose::instead_of("Redis 6 or later", commands).map(|()| None)
        }
    }
}
