use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::percent_encode;
use super::process::ServerProcess;
use super::programs::RedisPrograms;
use super::{ServerError, TlsFiles, free_port};

const START_ATTEMPTS: u32 = 5;

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
    programs: RedisPrograms,
    port: u16,
    password: Option<String>,
    tls: Option<TlsFiles>,
    mode: Mode,
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
        let mut attempt = 1;
        loop {
            let mut server = Self {
                process: ServerProcess::new("redis", None, "KILL")?,
                programs: programs.clone(),
                port: free_port()?,
                password: options.password.clone(),
                tls: options.tls.clone(),
                mode,
            };
            server.configure(options)?;
            match server.run() {
                // Somebody else took the port meanwhile.
                Err(ServerError::Failed { output, .. }) if attempt < START_ATTEMPTS && output.contains("in use") => {
                    attempt += 1;
                }
                result => return result.map(|()| server),
            }
        }
    }

    /// Where to connect, the password included: `redis://…`, or `rediss://…` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let password = match &self.password {
            Some(password) => format!(":{}@", percent_encode(password)),
            None => String::new(),
        };
        format!("{scheme}://{password}127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1; a restart keeps it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the running server.
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

    /// Sends one command through `redis-cli` and returns the answer as that prints it.
    ///
    /// An answer that is an error is a [`ServerError::Failed`]. A paused server blocks the call.
    pub fn command(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let mut cli = Command::new(&self.programs.cli);
        cli.args(["-h", "127.0.0.1", "-p"]).arg(self.port.to_string());
        if let Some(tls) = &self.tls {
            cli.arg("--tls").arg("--cacert").arg(&tls.authority);
        }
        if let Some(password) = &self.password {
            cli.env("REDISCLI_AUTH", password);
        }
        run_cli(cli.args(arguments), arguments)
    }

    /// Kills the server by SIGKILL, as in a crash.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.process.kill()
    }

    /// Shuts the server down.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.process.stop("TERM")
    }

    /// Freezes the server: connections stay open, new ones are accepted by the system, nothing answers.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        self.process.resume()
    }

    /// Starts a killed or stopped server again on its port; stops a running one first.
    ///
    /// The data is there again only if the server was started with [`RedisOptions::append_only`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.run()
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

    fn configure(&self, options: &RedisOptions) -> Result<(), ServerError> {
        let directory = self.process.directory();
        let mut lines =
            vec!["bind 127.0.0.1".to_owned(), "daemonize no".to_owned(), format!("dir {}", quoted(&directory.to_string_lossy()))];
        match &options.tls {
            None => lines.push(format!("port {}", self.port)),
            Some(tls) => {
                lines.push(format!("port 0\ntls-port {}", self.port));
                lines.push("tls-auth-clients no".to_owned());
                for (setting, file) in
                    [("tls-cert-file", &tls.certificate), ("tls-key-file", &tls.key), ("tls-ca-cert-file", &tls.authority)]
                {
                    let file = file.canonicalize().map_err(ServerError::io(format!("read {}", file.display())))?;
                    lines.push(format!("{setting} {}", quoted(&file.to_string_lossy())));
                }
            }
        }
        if self.mode == Mode::Data {
            lines.push("save \"\"".to_owned());
            let append_only = if options.append_only { "yes" } else { "no" };
            lines.push(format!("appendonly {append_only}\nappendfsync always"));
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

    fn run(&mut self) -> Result<(), ServerError> {
        let mut command = Command::new(&self.programs.server);
        command.arg("redis.conf");
        if self.mode == Mode::Sentinel {
            command.arg("--sentinel");
        }
        let log = self.process.directory().join("log");
        self.process.start(command, |_| {
            fs::read_to_string(&log).is_ok_and(|log| log.contains("Ready to accept connections") || log.contains("+monitor master"))
        })
    }
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

fn quoted(text: &str) -> String {
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
