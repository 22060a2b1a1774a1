use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ServerError;

const OLDEST_POSTGRES: u32 = 14;

/// An installation of PostgreSQL's server programs.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// The directory that holds `initdb`, `postgres`, `pg_ctl`, `pg_basebackup` and `psql`.
    pub directory: PathBuf,
    /// The major version, 14 or later.
    pub version: u32,
    /// Whom the server runs as; `None` is the current user. PostgreSQL refuses to run as root.
    pub account: Option<Account>,
}

impl PostgresPrograms {
    /// Takes the installation that `STRATA_TEST_PG_BIN` names, else the newest one found.
    pub fn find() -> Result<Self, ServerError> {
        Self::find_all()?.into_iter().next().ok_or_else(|| ServerError::NotInstalled {
            programs: "PostgreSQL's server programs (initdb, postgres), version 14 or later,",
            places: "PATH, pg_config --bindir, /usr/lib/postgresql/*/bin".to_owned(),
            variable: "STRATA_TEST_PG_BIN",
        })
    }

    /// Lists the installations, newest version first; only the named one if `STRATA_TEST_PG_BIN` is set.
    pub fn find_all() -> Result<Vec<Self>, ServerError> {
        let directories = match env::var_os("STRATA_TEST_PG_BIN") {
            Some(directory) => vec![PathBuf::from(directory)],
            None => postgres_directories(),
        };
        let account = Account::for_postgres()?;
        let mut found: Vec<Self> = Vec::new();
        for directory in directories {
            let Ok(directory) = directory.canonicalize() else {
                continue;
            };
            let Some(version) = postgres_version(&directory) else {
                continue;
            };
            let known = found.iter().any(|other| other.directory == directory);
            if version >= OLDEST_POSTGRES && !known {
                found.push(Self { directory, version, account: account.clone() });
            }
        }
        found.sort_by_key(|programs| std::cmp::Reverse(programs.version));
        Ok(found)
    }

    /// Prepares a call of one of the programs as the account that the server runs as.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        if let Some(account) = &self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }
}

fn postgres_directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = on_path("postgres")
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| program.parent().map(Path::to_owned))
        .into_iter()
        .collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        directories.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories
}

/// The major version that `postgres --version` prints, as in "postgres (PostgreSQL) 15.18 (Debian …)".
fn postgres_version(directory: &Path) -> Option<u32> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stdout))
}

fn major_version(printed: &str) -> Option<u32> {
    let version = printed.split_once("(PostgreSQL) ")?.1;
    let end = version.find(|c: char| !c.is_ascii_digit());
    version[..end.unwrap_or(version.len())].parse().ok()
}

/// An installation of Redis or Valkey.
#[derive(Debug, Clone)]
pub struct RedisPrograms {
    /// `redis-server` or `valkey-server`.
    pub server: PathBuf,
    /// `redis-cli` or `valkey-cli`.
    pub cli: PathBuf,
}

impl RedisPrograms {
    /// Takes the programs that `STRATA_TEST_REDIS_SERVER` and `STRATA_TEST_REDIS_CLI` name, else
    /// looks for them on the path.
    pub fn find() -> Result<Self, ServerError> {
        Ok(Self {
            server: find_redis_program("server", "STRATA_TEST_REDIS_SERVER")?,
            cli: find_redis_program("cli", "STRATA_TEST_REDIS_CLI")?,
        })
    }
}

fn find_redis_program(part: &str, variable: &'static str) -> Result<PathBuf, ServerError> {
    let (found, places) = match env::var_os(variable).map(PathBuf::from) {
        Some(named) => {
            let places = named.display().to_string();
            (named.is_file().then_some(named), places)
        }
        None => {
            let redis = on_path(format!("redis-{part}"));
            let found = redis.or_else(|| on_path(format!("valkey-{part}")));
            (found, "PATH".to_owned())
        }
    };
    found.ok_or(ServerError::NotInstalled {
        programs: match part {
            "server" => "redis-server or valkey-server",
            _ => "redis-cli or valkey-cli",
        },
        places,
        variable,
    })
}

fn on_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program.as_ref())).find(|candidate| candidate.is_file())
}

/// A user of the system that a server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    user: u32,
    group: u32,
}

impl Account {
    /// Whom PostgreSQL runs as: nobody else unless the current user is root, then the user that
    /// `STRATA_TEST_PG_USER` names, else `postgres`, else `nobody`.
    fn for_postgres() -> Result<Option<Self>, ServerError> {
        if ask_id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        let named = env::var("STRATA_TEST_PG_USER").ok();
        let names = match &named {
            Some(name) => vec![name.as_str()],
            None => vec!["postgres", "nobody"],
        };
        names.iter().find_map(|name| Account::look_up(name)).map(Some).ok_or_else(|| ServerError::Failed {
            action: "find a user to run PostgreSQL as, which refuses to run as root".to_owned(),
            output: format!("no user {}: set STRATA_TEST_PG_USER to an existing one", names.join(" or ")),
        })
    }

    fn look_up(name: &str) -> Option<Self> {
        Some(Self { name: name.to_owned(), user: ask_id(&["-u", name])?, group: ask_id(&["-g", name])? })
    }

    /// Makes a file or directory belong to this account.
    pub(super) fn give(&self, path: &Path) -> Result<(), ServerError> {
        chown(path, Some(self.user), Some(self.group)).map_err(ServerError::io(format!(
            "give {} to the user {}",
            path.display(),
            self.name
        )))
    }
}

fn ask_id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        let printed = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(printed), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("postgres: not found"), None);
    }
}
