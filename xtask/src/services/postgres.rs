use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use store_testkit::servers::{PostgresOptions, PostgresPrograms, PostgresServer, RedisPrograms};

use super::apt::Apt;
use super::{Compose, Service, Source, given};
use crate::{cargo, report};

/// An extension that the tests create, and the oldest version that does.
#[derive(Debug)]
pub(super) struct Extension {
    pub(super) name: &'static str,
    pub(super) version: (u32, u32),
}

pub(super) const REQUIRED_EXTENSIONS: [Extension; 2] =
    [Extension { name: "vector", version: (0, 8) }, Extension { name: "pg_trgm", version: (1, 5) }];

/// Takes the service at the URL that the environment names, or starts one.
pub(crate) fn provide(named: Option<String>) -> Result<Service<PostgresServer>> {
    if let Some(url) = named {
        given::postgres_answers(&url)
            .map_err(|error| error.context("the PostgreSQL of DATABASE_URL (unset that to get a throw-away one)"))?;
        report::note("PostgreSQL: the one of DATABASE_URL");
        if PostgresPrograms::find().is_err() {
            report::note("PostgreSQL's server programs are not installed: tests that break a server of their own will fail");
        }
        return Ok(Service { url, source: Source::Given });
    }
    match programs()? {
        Some(programs) => {
            let server = PostgresServer::start(&PostgresOptions { programs: Some(programs.clone()), ..PostgresOptions::default() })?;
            report::note(&format!("PostgreSQL {}: from {}, on port {}", programs.version, programs.directory.display(), server.port()));
            Ok(Service { url: server.url(), source: Source::Started(server) })
        }
        None => Compose::start("postgres").map(|(port, compose)| Service {
            url: format!("postgres://postgres:strata@127.0.0.1:{port}/postgres"),
            source: Source::Composed(compose),
        }),
    }
}

/// An installation with the extensions, installing what is missing; none if docker must do.
fn programs() -> Result<Option<PostgresPrograms>> {
    let installed = PostgresPrograms::find_all()?;
    let complete = |programs: &&PostgresPrograms| missing(programs).is_empty();
    if let Some(programs) = installed.iter().find(complete) {
        return Ok(Some(programs.clone()));
    }
    let script = cargo::root().join("xtask/scripts/install-pgvector.sh");
    let apt = match Apt::find() {
        Some(apt) if apt.is_allowed() => apt,
        apt => {
            let commands = apt.map(|apt| by_hand(&apt, &script, installed.first()));
            let missing = "PostgreSQL 14 or later with the extensions vector 0.8 and pg_trgm";
            return Compose::instead_of(missing, commands).map(|()| None);
        }
    };

    if installed.is_empty() {
        apt.install(&["postgresql"])?;
    }
    let programs = PostgresPrograms::find().context("after installing the package postgresql")?;
    for extension in missing(&programs) {
        match extension.name {
            "vector" => apt.run("build and install pgvector", "sh", &[script.as_os_str(), programs.directory.as_os_str()])?,
            _ => apt.install(&["postgresql-contrib"])?,
        }
    }
    let left: Vec<&str> = missing(&programs).iter().map(|extension| extension.name).collect();
    ensure!(
        left.is_empty(),
        "PostgreSQL in {} still lacks the extension {}: install it by hand",
        programs.directory.display(),
        left.join(" and ")
    );
    Ok(Some(programs))
}

/// The commands that complete this installation, or begin one, and Redis along with it.
fn by_hand(apt: &Apt, script: &Path, installed: Option<&PostgresPrograms>) -> Vec<String> {
    let lacking = installed.map_or_else(|| vec!["vector"], |programs| missing(programs).iter().map(|extension| extension.name).collect());
    let mut packages = Vec::new();
    if installed.is_none() {
        packages.push("postgresql");
    }
    if lacking.contains(&"pg_trgm") {
        packages.push("postgresql-contrib");
    }
    if RedisPrograms::find().is_err() {
        packages.push("redis-server");
    }
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(apt.line(&packages));
    }
    if lacking.contains(&"vector") {
        commands.push(format!("sudo sh {}", script.display()));
    }
    commands
}

fn missing(programs: &PostgresPrograms) -> Vec<&'static Extension> {
    let share = share_directory(programs);
    REQUIRED_EXTENSIONS
        .iter()
        .filter(|required| {
            !share
                .as_deref()
                .and_then(|share| offered_version(share, required.name))
                .is_some_and(|version| is_recent_enough(&version, required.version))
        })
        .collect()
}

fn share_directory(programs: &PostgresPrograms) -> Option<PathBuf> {
    let output = Command::new(programs.directory.join("pg_config")).arg("--sharedir").output().ok()?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The version that an extension's control file names, as in `default_version = '0.8.0'`.
fn offered_version(share: &Path, extension: &str) -> Option<String> {
    let control = share.join(format!("extension/{extension}.control"));
    let content = fs::read_to_string(control).ok()?;
    default_version(&content).map(str::to_owned)
}

fn default_version(control: &str) -> Option<&str> {
    control.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "default_version").then(|| value.trim().trim_matches('\''))
    })
}

pub(super) fn is_recent_enough(version: &str, oldest: (u32, u32)) -> bool {
    let mut numbers = version.trim().split('.').map(|part| part.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= oldest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_control_file_is_read_and_compared() {
        let control = "comment = 'vector data type'\ndefault_version = '0.8.0'\nrelocatable = true\n";
        assert_eq!(default_version(control), Some("0.8.0"));
        assert!(is_recent_enough("0.8.0", (0, 8)));
        assert!(is_recent_enough("1.6", (1, 5)));
        assert!(!is_recent_enough("0.7.4", (0, 8)));
        assert!(!is_recent_enough("new", (0, 8)));
    }
}
