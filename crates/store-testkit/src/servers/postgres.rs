use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{self, Kind, ServerProcess};
use super::programs::PostgresPrograms;
use super::{ServerError, TlsFiles};

pub(super) const SUPERUSER: &str = "postgres";

const POSTGRES: Kind = Kind { name: "postgres", stop_signal: "INT", end_signal: "QUIT", port_taken: "could not bind", is_ready };

/// How to start a [`PostgresServer`]. By default it trusts whoever connects, without TLS.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// The installation to use; by default [`PostgresPrograms::find`] chooses.
    pub programs: Option<PostgresPrograms>,
    /// Asks clients on TCP for this password of the user `postgres`.
    pub password: Option<String>,
    /// Offers TLS.
    pub tls: Option<TlsFiles>,
    /// Turns clients away that do not use TLS; needs [`tls`](Self::tls).
    pub require_tls: bool,
    /// Further settings, as in `postgresql.conf`: `("max_connections", "5")`.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server on 127.0.0.1 that lives as long as this value.
///
/// It allows 200 connections and does not wait for the disk (`fsync = off`), which loses nothing
/// unless the whole machine goes down.
///
/// ```no_run
/// use store_testkit::servers::{PostgresOptions, PostgresServer};
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let mut server = PostgresServer::start(&PostgresOptions::default())?;
/// let url = server.url(); // postgres://postgres@127.0.0.1:15000/postgres
/// server.kill()?;
/// server.restart()?;
/// assert_eq!(server.url(), url);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    process: ServerProcess,
    pub(super) programs: PostgresPrograms,
    pub(super) password: Option<String>,
}

impl PostgresServer {
    /// Creates an empty database cluster and starts a server on it.
    pub fn start(options: &PostgresOptions) -> Result<Self, ServerError> {
        let programs = match &options.programs {
            Some(programs) => programs.clone(),
            None => PostgresPrograms::find()?,
        };
        process::start(|| {
            let server = Self::new(&programs, options.password.clone())?;
            server.create_cluster(options)?;
            Ok(server)
        })
    }

    pub(super) fn new(programs: &PostgresPrograms, password: Option<String>) -> Result<Self, ServerError> {
        let mut command = programs.command("postgres");
        command.args(["-D", "data"]);
        let process = ServerProcess::new(&POSTGRES, programs.account.as_ref(), command)?;
        Ok(Self { process, programs: programs.clone(), password })
    }

    /// Where to connect to the database `postgres`, the password included.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where to connect to another database.
    pub fn url_of(&self, database: &str) -> String {
        let password = match &self.password {
            Some(password) => format!(":{}", percent_encode(password)),
            None => String::new(),
        };
        format!("postgres://{SUPERUSER}{password}@127.0.0.1:{}/{database}", self.port())
    }

    /// Runs SQL in the database `postgres` as the superuser, through `psql`, and returns its answer: a line for each row, with `|` between columns.
    ///
    /// It needs neither the password nor TLS. SQL that fails is a [`ServerError::Failed`]. A paused server blocks the call.
    pub fn query(&self, sql: &str) -> Result<String, ServerError> {
        let mut psql = self.programs.command("psql");
        psql.current_dir(self.directory()).args(["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-U", SUPERUSER, "-p", &self.port().to_string(), "-d", "postgres", "-c", sql, "-h"]).arg(self.directory());
        run(psql, "run SQL with psql")
    }

    /// Lets the server outlive this process; returns its directory, for [`end_detached`](Self::end_detached).
    pub fn detach(self) -> PathBuf {
        self.process.detach()
    }

    /// Ends a detached server and removes its directory. That it no longer runs is no error.
    pub fn end_detached(programs: &PostgresPrograms, directory: &Path) -> Result<(), ServerError> {
        if directory.exists() {
            let mut command = programs.command("pg_ctl");
            command.current_dir(directory).arg("-D").arg("data");
            command.args(["-m", "immediate", "-w", "stop"]);
            let output = command.output().map_err(ServerError::io("run pg_ctl to stop PostgreSQL"))?;
            let message = String::from_utf8_lossy(&output.stderr);
            // A server that was killed leaves its file with the process number behind.
            let is_gone = message.contains("does not exist") || message.contains("No such process");
            if !output.status.success() && !is_gone {
                return Err(ServerError::Failed { action: "stop PostgreSQL".to_owned(), output: message.into_owned() });
            }
            fs::remove_dir_all(directory).map_err(ServerError::io(format!("remove {}", directory.display())))?;
        }
        Ok(())
    }

    fn create_cluster(&self, options: &PostgresOptions) -> Result<(), ServerError> {
        let directory = self.directory();
        let mut initdb = self.programs.command("initdb");
        initdb.current_dir(directory).args(["--pgdata=data", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--username", SUPERUSER, "--auth=trust"]);
        if let Some(password) = &options.password {
            self.write("password", password, 0o600)?;
            initdb.args(["--pwfile=password", "--auth-host=scram-sha-256"]);
        }
        run(initdb, "create a database cluster with initdb")?;

        let mut settings = "listen_addresses = '127.0.0.1'\nmax_connections = 200\nfsync = off\n".to_owned();
        if let Some(tls) = &options.tls {
            self.copy(&tls.certificate, "data/server.crt")?;
            self.copy(&tls.key, "data/server.key")?;
            self.copy(&tls.authority, "data/root.crt")?;
            settings.push_str("ssl = on\nssl_ca_file = 'root.crt'\n");
        }
        for (name, value) in &options.settings {
            settings.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        self.configure(&settings)?;

        let connection = if options.require_tls { "hostssl" } else { "host" };
        let method = match options.password {
            Some(_) => "scram-sha-256",
            None => "trust",
        };
        self.write("data/pg_hba.conf", &format!("local all,replication all trust\n{connection} all all 127.0.0.1/32 {method}\n"), 0o600)
    }

    /// Adds the server's own port and place, and further settings, to what is configured; the last of a name counts.
    pub(super) fn configure(&self, settings: &str) -> Result<(), ServerError> {
        let path = self.directory().join("data/postgresql.conf");
        let own = format!("port = {}\nunix_socket_directories = '{}'\n", self.port(), self.directory().display());
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all((own + settings).as_bytes()))
            .map_err(ServerError::io(format!("write {}", path.display())))
    }

    /// Writes a file that belongs to the server's account.
    fn write(&self, name: &str, content: &str, mode: u32) -> Result<(), ServerError> {
        let path = self.directory().join(name);
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)))
            .map_err(ServerError::io(format!("write {}", path.display())))?;
        match &self.programs.account {
            Some(account) => account.give(&path),
            None => Ok(()),
        }
    }

    fn copy(&self, from: &Path, name: &str) -> Result<(), ServerError> {
        let content = fs::read_to_string(from).map_err(ServerError::io(format!("read {}", from.display())))?;
        self.write(name, &content, 0o600)
    }
}

impl Deref for PostgresServer {
    type Target = ServerProcess;

    fn deref(&self) -> &ServerProcess {
        &self.process
    }
}

impl DerefMut for PostgresServer {
    fn deref_mut(&mut self) -> &mut ServerProcess {
        &mut self.process
    }
}

/// PostgreSQL keeps its state in the eighth line of this file, below its process id in the first.
fn is_ready(directory: &Path, id: u32) -> bool {
    let Ok(content) = fs::read_to_string(directory.join("data/postmaster.pid")) else {
        return false;
    };
    let mut lines = content.lines();
    lines.next() == Some(id.to_string().as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// Runs a program to its end and returns what it printed.
pub(super) fn run(mut command: Command, action: &str) -> Result<String, ServerError> {
    let output = command.output().map_err(ServerError::io(action))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    Err(ServerError::Failed { action: action.to_owned(), output: String::from_utf8_lossy(&output.stderr).into_owned() })
}

/// Makes any text safe inside a URL.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_encoded_for_urls() {
        assert_eq!(percent_encode("a:b@c/é"), "a%3Ab%40c%2F%C3%A9");
    }
}
