use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::percent_encode;
use super::process::{self, Kind, ServerProcess};
use super::programs::RedisPrograms;
use super::{ServerError, TlsFiles};

const REDIS: Kind = Kind { name: "redis", stop_signal: "TERM", end_signal: "KILL", port_taken: "in use", is_ready };

/// How to start a [`RedisServer`]. By default it asks for no password, without TLS, and keeps nothing on disk.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The installation to use; by default [`RedisPrograms::find`] chooses.
    pub programs: Option<RedisPrograms>,
    /// Asks clients for this password.
    pub password: Option<String>,
    /// Listens with TLS only.
    pub tls: Option<TlsFiles>,
    /// Logs each write to disk, so that a restart finds the data again.
    pub append_only: bool,
    /// Further settings, as in `redis.conf`: `("maxmemory", "10mb")`.
    pub settings: Vec<(String, String)>,
}

/// A Redis server on 127.0.0.1 that lives as long as this value.
///
/// ```no_run
/// use store_testkit::servers::{RedisOptions, RedisServer};
///
/// # fn main() -> Result<(), store_testkit::servers::ServerError> {
/// let server = RedisServer::start(&RedisOptions::default())?;
/// server.command(&["SET", "greeting", "hello"])?;
/// assert_eq!(server.command(&["GET", "greeting"])?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisServer {
    process: ServerProcess,
    pub(super) programs: RedisPrograms,
    pub(super) password: Option<String>,
    pub(super) tls: Option<TlsFiles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Data,
    Sentinel,
}

impl RedisServer {
    /// Starts an empty server.
    pub fn start(options: &RedisOptions) -> Result<Self, ServerError> {
        Self::start_as(Mode::Data, options)
    }

    pub(super) fn start_sentinel(options: &RedisOptions) -> Result<Self, ServerError> {
        Self::start_as(Mode::Sentinel, options)
    }

    fn start_as(mode: Mode, options: &RedisOptions) -> Result<Self, ServerError> {
        let programs = match &options.programs {
            Some(programs) => programs.clone(),
            None => RedisPrograms::find()?,
        };
        process::start(|| {
            let mut command = Command::new(&programs.server);
            command.arg("redis.conf");
            if mode == Mode::Sentinel {
                command.arg("--sentinel");
            }
            let process = ServerProcess::new(&REDIS, None, command)?;
            let server = Self { process, programs: programs.clone(), password: options.password.clone(), tls: options.tls.clone() };
            server.configure(mode, options)?;
            Ok(server)
        })
    }

    /// Where to connect, the password included: `redis://…`, or `rediss://…` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let password = match &self.password {
            Some(password) => format!(":{}@", percent_encode(password)),
            None => String::new(),
        };
        format!("{scheme}://{password}127.0.0.1:{}", self.port())
    }

    /// Sends one command through `redis-cli` and returns the answer as that prints it.
    ///
    /// An answer that is an error is a [`ServerError::Failed`]. A paused server blocks the call.
    ///
    /// ```no_run
    /// # use store_testkit::servers::{RedisOptions, RedisServer};
    /// # fn main() -> Result<(), store_testkit::servers::ServerError> {
    /// # let server = RedisServer::start(&RedisOptions::default())?;
    /// server.command(&["FLUSHALL"])?;
    /// server.command(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
    /// server.command(&["CONFIG", "SET", "maxmemory", "2mb"])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let mut cli = Command::new(&self.programs.cli);
        cli.args(["-h", "127.0.0.1", "-p"]).arg(self.port().to_string());
        if let Some(tls) = &self.tls {
            cli.arg("--tls").arg("--cacert").arg(&tls.authority);
        }
        if let Some(password) = &self.password {
            cli.env("REDISCLI_AUTH", password);
        }
        run_cli(cli.args(arguments), arguments)
    }

    /// Lets the server outlive this process; returns its directory, for [`end_detached`](Self::end_detached).
    pub fn detach(self) -> PathBuf {
        self.process.detach()
    }

    /// Ends a detached server without password or TLS and removes its directory. That it no longer
    /// runs is no error.
    pub fn end_detached(programs: &RedisPrograms, port: u16, directory: &Path) -> Result<(), ServerError> {
        if directory.exists() {
            let cli = |arguments: &[&str]| {
                let mut cli = Command::new(&programs.cli);
                cli.args(["-h", "127.0.0.1", "-p"]).arg(port.to_string());
                run_cli(cli.args(arguments), arguments)
            };
            let is_ours = cli(&["CONFIG", "GET", "dir"]).is_ok_and(|answer| answer.lines().any(|line| line == directory.to_string_lossy()));
            if is_ours {
                cli(&["SHUTDOWN", "NOSAVE"])?;
            }
            fs::remove_dir_all(directory).map_err(ServerError::io(format!("remove {}", directory.display())))?;
        }
        Ok(())
    }

    fn configure(&self, mode: Mode, options: &RedisOptions) -> Result<(), ServerError> {
        let directory = self.directory();
        let mut lines =
            vec!["bind 127.0.0.1".to_owned(), "daemonize no".to_owned(), format!("dir {}", quoted(&directory.to_string_lossy()))];
        match &options.tls {
            None => lines.push(format!("port {}", self.port())),
            Some(tls) => {
                lines.push(format!("port 0\ntls-port {}", self.port()));
                lines.push("tls-auth-clients no".to_owned());
                for (setting, file) in
                    [("tls-cert-file", &tls.certificate), ("tls-key-file", &tls.key), ("tls-ca-cert-file", &tls.authority)]
                {
                    let file = file.canonicalize().map_err(ServerError::io(format!("read {}", file.display())))?;
                    lines.push(format!("{setting} {}", quoted(&file.to_string_lossy())));
                }
            }
        }
        if mode == Mode::Data {
            lines.push("save \"\"".to_owned());
            let append_only = if options.append_only { "yes" } else { "no" };
            lines.push(format!("appendonly {append_only}\nappendfsync always"));
            lines.push("repl-diskless-sync-delay 0".to_owned());
        }
        if let Some(password) = &options.password {
            lines.push(format!("requirepass {}", quoted(password)));
        }
        for (name, value) in &options.settings {
            lines.push(format!("{name} {value}"));
        }
        let path = directory.join("redis.conf");
        fs::write(&path, lines.join("\n") + "\n").map_err(ServerError::io(format!("write {}", path.display())))
    }
}

impl Deref for RedisServer {
    type Target = ServerProcess;

    fn deref(&self) -> &ServerProcess {
        &self.process
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut ServerProcess {
        &mut self.process
    }
}

fn is_ready(directory: &Path, _: u32) -> bool {
    fs::read_to_string(directory.join("log"))
        .is_ok_and(|log| log.contains("Ready to accept connections") || log.contains("+monitor master"))
}

fn run_cli(cli: &mut Command, arguments: &[&str]) -> Result<String, ServerError> {
    let name = arguments.first().copied().unwrap_or_default();
    let output = cli.output().map_err(ServerError::io(format!("run redis-cli for {name}")))?;
    let answer = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    if output.status.success() && !is_error(&answer) {
        return Ok(answer);
    }
    Err(ServerError::Failed { action: format!("run the Redis command {name}"), output: answer + &String::from_utf8_lossy(&output.stderr) })
}

/// Recognises an error by its leading code, as in "ERR syntax error": `redis-cli` reports success
/// for it before version 7.
fn is_error(answer: &str) -> bool {
    answer.split_once(' ').is_some_and(|(code, _)| code.len() >= 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// A word as `redis.conf` has it, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_answers() {
        assert!(is_error("NOAUTH Authentication required."));
        assert!(!is_error("OK"));
        assert!(!is_error("hello world"));
    }
}
