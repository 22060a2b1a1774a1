use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::ServerProcess;
use super::programs::PostgresPrograms;
use super::{ServerError, TlsFiles, free_port};

const SUPERUSER: &str = "postgres";
const START_ATTEMPTS: u32 = 5;

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
    programs: PostgresPrograms,
    port: u16,
    password: Option<String>,
}

impl PostgresServer {
    /// Creates an empty database cluster and starts a server on it.
    pub fn start(options: &PostgresOptions) -> Result<Self, ServerError> {
        let programs = match &options.programs {
            Some(programs) => programs.clone(),
            None => PostgresPrograms::find()?,
        };
        let mut attempt = 1;
        loop {
            let mut server = Self {
                process: ServerProcess::new("postgres", programs.account.as_ref(), "QUIT")?,
                programs: programs.clone(),
                port: free_port()?,
                password: options.password.clone(),
            };
            server.create_cluster(options)?;
            match server.run() {
                // Somebody else took the port meanwhile.
                Err(ServerError::Failed { output, .. }) if attempt < START_ATTEMPTS && output.contains("could not bind") => {
                    attempt += 1;
                }
                result => return result.map(|()| server),
            }
        }
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
        format!("postgres://{SUPERUSER}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1; a restart keeps it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the running server's main process.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The server's own directory, removed with it.
    pub fn directory(&self) -> &Path {
        self.process.directory()
    }

    /// What the server logged since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Kills all of the server's processes by SIGKILL, as in a crash.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.process.kill()
    }

    /// Shuts the server down; it breaks its connections and rolls their transactions back.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.process.stop("INT")
    }

    /// Freezes the server: connections stay open, new ones are accepted by the system, nothing answers.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        self.process.resume()
    }

    /// Starts a killed or stopped server again with its data and port; stops a running one first.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.run()
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
        let directory = self.process.directory();
        let mut initdb = self.programs.command("initdb");
        initdb.current_dir(directory).args(["--pgdata=data", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--username", SUPERUSER, "--auth=trust"]);
        if let Some(password) = &options.password {
            self.write("password", password, 0o600)?;
            initdb.args(["--pwfile=password", "--auth-host=scram-sha-256"]);
        }
        run_quietly(initdb, "create a database cluster with initdb")?;

        let mut settings = format!(
            "listen_addresses = '127.0.0.1'\n\
             port = {}\n\
             unix_socket_directories = '{}'\n\
             max_connections = 200\n\
             fsync = off\n",
            self.port,
            directory.display()
        );
        if let Some(tls) = &options.tls {
            self.copy(&tls.certificate, "data/server.crt")?;
            self.copy(&tls.key, "data/server.key")?;
            self.copy(&tls.authority, "data/root.crt")?;
            settings.push_str("ssl = on\nssl_ca_file = 'root.crt'\n");
        }
        for (name, value) in &options.settings {
            settings.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        self.append("data/postgresql.conf", &settings)?;

        let connection = if options.require_tls { "hostssl" } else { "host" };
        let method = match options.password {
            Some(_) => "scram-sha-256",
            None => "trust",
        };
        self.write("data/pg_hba.conf", &format!("local all all trust\n{connection} all all 127.0.0.1/32 {method}\n"), 0o600)
    }

    fn run(&mut self) -> Result<(), ServerError> {
        let mut command = self.programs.command("postgres");
        command.args(["-D", "data"]);
        let status = self.process.directory().join("data/postmaster.pid");
        self.process.start(command, |id| says_ready(&status, id)).map_err(|error| match error {
            ServerError::Failed { action, output } => ServerError::Failed { action, output: last_lines(&output, 20) },
            other => other,
        })
    }

    /// Writes a file that belongs to the server's account.
    fn write(&self, name: &str, content: &str, mode: u32) -> Result<(), ServerError> {
        let path = self.process.directory().join(name);
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

    fn append(&self, name: &str, content: &str) -> Result<(), ServerError> {
        let path = self.process.directory().join(name);
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(ServerError::io(format!("write {}", path.display())))
    }
}

/// PostgreSQL keeps its state in the eighth line of this file, below its process id in the first.
fn says_ready(status: &Path, id: u32) -> bool {
    let Ok(content) = fs::read_to_string(status) else {
        return false;
    };
    let mut lines = content.lines();
    lines.next() == Some(id.to_string().as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

fn run_quietly(mut command: Command, action: &str) -> Result<(), ServerError> {
    let output = command.output().map_err(ServerError::io(action))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerError::Failed { action: action.to_owned(), output: String::from_utf8_lossy(&output.stderr).into_owned() })
}

fn last_lines(text: &str, count: usize) -> String {
    let skipped = text.lines().count().saturating_sub(count);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
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
