use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use store_testkit::servers::{PostgresPrograms, PostgresServer, RedisPrograms, RedisServer};

use crate::services::{self, Compose, Source};
use crate::{cargo, report};

/// Starts the services to stay, unless they already run, and prints what to export.
pub(crate) fn up() -> Result<()> {
    let file = state_file();
    let mut state = State::read(&file)?;
    let database_url = state.settle(&file, POSTGRES)?;
    let redis_url = state.settle(&file, REDIS)?;
    for (name, value) in services::environment(&database_url, &redis_url) {
        // Whoever named a service has exported it already, perhaps with a password.
        if services::named(name).as_ref() != Some(&value) {
            println!("export {name}='{}'", value.replace('\'', r"'\''"));
        }
    }
    Ok(())
}

/// Ends what [`up`] started.
pub(crate) fn down() -> Result<()> {
    let file = state_file();
    let mut state = State::read(&file)?;
    if state.0.is_empty() {
        report::note("nothing to stop");
    }
    while let Some(stay) = state.0.pop() {
        stay.end()?;
        state.write(&file)?;
        report::note(&format!("{}: stopped", stay.service));
    }
    Ok(())
}

fn state_file() -> PathBuf {
    cargo::root().join("target/strata-services/state")
}

/// How to deal with one of the services.
#[derive(Clone, Copy)]
struct Kind {
    service: &'static str,
    variable: &'static str,
    answers: fn(&str) -> Result<()>,
    start: fn(Option<String>) -> Result<Provided>,
}

/// A service that has just been found or started.
struct Provided {
    url: String,
    /// Where it stays; none if somebody else runs it.
    place: Option<Place>,
}

const POSTGRES: Kind = Kind {
    service: "postgres",
    variable: "DATABASE_URL",
    answers: services::postgres_answers,
    start: |named| {
        let service = services::provide_postgres(named)?;
        Ok(Provided { url: service.url, place: keep(service.source, PostgresServer::detach) })
    },
};

const REDIS: Kind = Kind {
    service: "redis",
    variable: "REDIS_URL",
    answers: services::redis_answers,
    start: |named| {
        let service = services::provide_redis(named)?;
        Ok(Provided { url: service.url, place: keep(service.source, RedisServer::detach) })
    },
};

fn keep<Server>(source: Source<Server>, detach: fn(Server) -> PathBuf) -> Option<Place> {
    match source {
        Source::Given => None,
        Source::Started(server) => Some(Place::Directory(detach(server))),
        Source::Composed(compose) => Some(Place::Project(compose.detach())),
    }
}

/// A service that stays after this program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stay {
    service: String,
    url: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// It runs from installed programs in this directory.
    Directory(PathBuf),
    /// Docker runs it as this project.
    Project(String),
}

impl Stay {
    /// Ends the service; that it no longer runs is no error.
    fn end(&self) -> Result<()> {
        match &self.place {
            Place::Project(project) => Compose::end_detached(project),
            Place::Directory(directory) if self.service == REDIS.service => {
                let port = self.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                let port = port.ok_or_else(|| anyhow!("no port in {}", self.url))?;
                let programs = RedisPrograms::find()?;
                Ok(RedisServer::end_detached(&programs, port, directory)?)
            }
            Place::Directory(directory) => {
                let programs = PostgresPrograms::find()?;
                Ok(PostgresServer::end_detached(&programs, directory)?)
            }
        }
    }
}

/// The services that [`up`] left running: a file with a line for each.
#[derive(Debug, Default, PartialEq, Eq)]
struct State(Vec<Stay>);

impl State {
    /// Takes the service that runs already, or provides one and records it; returns its URL.
    fn settle(&mut self, file: &Path, kind: Kind) -> Result<String> {
        let mut named = services::named(kind.variable);
        if let Some(index) = self.0.iter().position(|stay| stay.service == kind.service) {
            let stay = &self.0[index];
            // A variable with another URL names another service; this one waits for `down`.
            if named.is_none() || named.as_ref() == Some(&stay.url) {
                if (kind.answers)(&stay.url).is_ok() {
                    report::note(&format!("{}: runs already", kind.service));
                    return Ok(stay.url.clone());
                }
                named = None;
                stay.end()?;
                self.0.remove(index);
            }
        }
        let Provided { url, place } = (kind.start)(named)?;
        self.0.extend(place.map(|place| Stay { service: kind.service.to_owned(), url: url.clone(), place }));
        self.write(file)?;
        Ok(url)
    }

    fn read(file: &Path) -> Result<Self> {
        match fs::read_to_string(file) {
            Ok(content) => Self::parse(&content).with_context(|| format!("cannot understand {}: delete it", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    fn write(&self, file: &Path) -> Result<()> {
        let directory = file.parent().unwrap_or(file);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(file, self.print()))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn parse(content: &str) -> Result<Self> {
        content
            .lines()
            .map(|line| {
                let mut words = line.splitn(4, ' ');
                let mut word = || words.next().ok_or_else(|| anyhow!("short line `{line}`"));
                let (service, url) = (word()?.to_owned(), word()?.to_owned());
                let place = match (word()?, word()?) {
                    ("directory", path) => Place::Directory(PathBuf::from(path)),
                    ("project", name) => Place::Project(name.to_owned()),
                    (place, _) => return Err(anyhow!("unknown place `{place}`")),
                };
                Ok(Stay { service, url, place })
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    fn print(&self) -> String {
        let line = |stay: &Stay| {
            let place = match &stay.place {
                Place::Directory(path) => format!("directory {}", path.display()),
                Place::Project(name) => format!("project {name}"),
            };
            format!("{} {} {place}\n", stay.service, stay.url)
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_survives_its_file() {
        let state = State(vec![
            Stay {
                service: "postgres".to_owned(),
                url: "postgres://postgres@127.0.0.1:15000/postgres".to_owned(),
                place: Place::Directory(PathBuf::from("a directory/with spaces")),
            },
            Stay {
                service: "redis".to_owned(),
                url: "redis://127.0.0.1:15001".to_owned(),
                place: Place::Project("strata-redis-1".to_owned()),
            },
        ]);
        assert_eq!(State::parse(&state.print()).unwrap(), state);
    }

    #[test]
    fn a_damaged_state_is_an_error() {
        assert!(State::parse("postgres postgres://127.0.0.1").is_err());
        assert!(State::parse("redis redis://127.0.0.1 moon base").is_err());
    }
}
