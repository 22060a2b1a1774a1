use std::fs::{self, File};
use std::ops::DerefMut;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::process_table::{helpers_of, is_running};
use super::{Account, ServerError, free_port};

const STEP: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: u32 = 5;
const LINES_IN_ERROR: usize = 20;

/// What the life cycle of one kind of server needs to know about it.
#[derive(Debug)]
pub(super) struct Kind {
    /// Names the directory.
    pub(super) name: &'static str,
    /// The signal that ends the server in good order.
    pub(super) stop_signal: &'static str,
    /// The signal that ends the server at once.
    pub(super) end_signal: &'static str,
    /// What the server logs when its port is taken.
    pub(super) port_taken: &'static str,
    /// Whether the server of this directory and process id is ready.
    pub(super) is_ready: fn(&Path, u32) -> bool,
}

/// The program, port and directory of one server: what can be done to any kind of it.
///
/// [`PostgresServer`](super::PostgresServer) and [`RedisServer`](super::RedisServer) dereference to it.
///
/// ```no_run
/// use store_testkit::servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer, ServerError, ServerProcess};
///
/// fn crash(server: &mut ServerProcess) -> Result<(), ServerError> {
///     server.kill()?;
///     server.restart()
/// }
///
/// # fn main() -> Result<(), ServerError> {
/// let mut postgres = PostgresServer::start(&PostgresOptions::default())?;
/// let mut redis = RedisServer::start(&RedisOptions::default())?;
/// crash(&mut postgres)?;
/// crash(&mut redis)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ServerProcess {
    kind: &'static Kind,
    command: Command,
    port: u16,
    guard: Guard,
    child: Option<Child>,
}

/// Starts the server that `prepare` makes, and another one if somebody else takes its port meanwhile.
pub(super) fn start<S>(mut prepare: impl FnMut() -> Result<S, ServerError>) -> Result<S, ServerError>
where
    S: DerefMut<Target = ServerProcess>,
{
    let mut attempt = 1;
    loop {
        let mut server = prepare()?;
        match server.run() {
            Err(ServerError::Failed { output, .. }) if attempt < START_ATTEMPTS && output.contains(server.kind.port_taken) => attempt += 1,
            result => return result.map(|()| server),
        }
    }
}

impl ServerProcess {
    /// Finds a port and makes a directory, belonging to `account`, that `command` will run in.
    pub(super) fn new(kind: &'static Kind, account: Option<&Account>, command: Command) -> Result<Self, ServerError> {
        let guard = Guard::new(kind.name, account, kind.end_signal)?;
        Ok(Self { kind, command, port: free_port()?, guard, child: None })
    }

    /// The port on 127.0.0.1; a restart keeps it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the running server's main process.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The server's own directory, removed with it.
    pub fn directory(&self) -> &Path {
        self.guard.directory()
    }

    /// What the server logged since it was last started.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Kills all of the server's processes by SIGKILL, as in a crash.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        let Some(id) = self.id() else {
            return Ok(());
        };
        // Stopped first, it can neither start another helper nor react to the loss of one.
        send("STOP", &[id])?;
        let helpers = helpers_of(id);
        let all: Vec<u32> = [id].into_iter().chain(helpers.iter().copied()).collect();
        send("KILL", &all)?;
        let is_dead = holds_in_time(|| Ok(self.reap()? && !helpers.iter().any(|helper| is_running(*helper))))?;
        self.in_time(is_dead, "see the server die")
    }

    /// Shuts the server down in good order; it breaks its connections and rolls their transactions back.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        let Some(id) = self.id() else {
            return Ok(());
        };
        self.resume()?;
        send(self.kind.stop_signal, &[id])?;
        let has_ended = holds_in_time(|| self.reap())?;
        self.in_time(has_ended, "see the server end")
    }

    /// Freezes the server: connections stay open, new ones are accepted by the system, nothing answers.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        let id = self.running()?;
        send("STOP", &[id])?;
        send("STOP", &helpers_of(id))
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        let id = self.running()?;
        send("CONT", &helpers_of(id))?;
        send("CONT", &[id])
    }

    /// Starts a killed or stopped server again on its port, with what it keeps on disk; stops a running one first.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.run()
    }

    /// Lets the server outlive this process; returns its directory, which stays as well.
    pub(super) fn detach(mut self) -> PathBuf {
        self.child = None;
        self.guard.disarm()
    }

    /// Waits until `condition` holds; `action` says for what, as in "see the replica follow".
    pub(super) fn wait_until(&self, action: &str, condition: impl FnMut() -> Result<bool, ServerError>) -> Result<(), ServerError> {
        self.in_time(holds_in_time(condition)?, action)
    }

    fn run(&mut self) -> Result<(), ServerError> {
        let action = format!("start {}", self.command.get_program().display());
        let log = File::create(self.log_path())
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(ServerError::io(format!("create {}", self.log_path().display())))?;
        let child = self
            .command
            .current_dir(self.guard.directory())
            .stdin(Stdio::null())
            .stdout(log.0)
            .stderr(log.1)
            // A Ctrl-C on the terminal is for the tests; ending the servers is the guard's work.
            .process_group(0)
            .spawn()
            .map_err(ServerError::io(&action))?;
        let id = child.id();
        self.child = Some(child);
        self.guard.watch(Some(id))?;
        let is_ready = holds_in_time(|| match (self.kind.is_ready)(self.guard.directory(), id) {
            true => Ok(true),
            false if self.reap()? => Err(ServerError::Failed { action: action.clone(), output: self.end_of_log() }),
            false => Ok(false),
        })?;
        self.in_time(is_ready, &action)
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("log")
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(LINES_IN_ERROR);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    fn running(&self) -> Result<u32, ServerError> {
        self.id().ok_or_else(|| ServerError::NotRunning { directory: self.directory().to_owned() })
    }

    /// Notices the end of the process; true once there is none.
    fn reap(&mut self) -> Result<bool, ServerError> {
        let Some(child) = &mut self.child else {
            return Ok(true);
        };
        let status = child.try_wait().map_err(ServerError::io("wait for a server"))?;
        if status.is_some() {
            self.child = None;
            self.guard.watch(None)?;
        }
        Ok(status.is_some())
    }

    fn in_time(&self, is_done: bool, action: &str) -> Result<(), ServerError> {
        if is_done {
            return Ok(());
        }
        Err(ServerError::TimedOut { action: action.to_owned(), limit: LIMIT, log: self.end_of_log() })
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let _ = send("CONT", &helpers_of(child.id()));
        if !self.guard.is_alive() {
            let _ = child.kill();
        }
        self.guard.release();
        // The guard waits for the process to be gone, which takes someone to reap it.
        let _ = child.wait();
    }
}

/// Asks again and again whether `condition` holds; false once the time is up.
fn holds_in_time(mut condition: impl FnMut() -> Result<bool, ServerError>) -> Result<bool, ServerError> {
    let begin = Instant::now();
    while !condition()? {
        if begin.elapsed() > LIMIT {
            return Ok(false);
        }
        thread::sleep(STEP);
    }
    Ok(true)
}

/// Sends a signal through the shell, whose `kill` is built in and so always there.
///
/// A process that has just ended is no error.
fn send(signal: &str, processes: &[u32]) -> Result<(), ServerError> {
    if processes.is_empty() {
        return Ok(());
    }
    Command::new("sh")
        .args(["-c", r#"signal=$1; shift; kill -"$signal" "$@""#, "kill"])
        .arg(signal)
        .args(processes.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .map(drop)
        .map_err(ServerError::io(format!("send SIG{signal} to a server")))
}
