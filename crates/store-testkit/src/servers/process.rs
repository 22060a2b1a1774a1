use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::{Account, ServerError};

const STEP: Duration = Duration::from_millis(10);
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// One server program, its directory, and the guard over both.
#[derive(Debug)]
pub(super) struct ServerProcess {
    guard: Guard,
    child: Option<Child>,
}

impl ServerProcess {
    pub(super) fn new(name: &str, account: Option<&Account>, signal: &str) -> Result<Self, ServerError> {
        Ok(Self { guard: Guard::new(name, account, signal)?, child: None })
    }

    pub(super) fn directory(&self) -> &Path {
        self.guard.directory()
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts `command` and waits until `is_ready` says so, given the process id.
    pub(super) fn start(&mut self, mut command: Command, mut is_ready: impl FnMut(u32) -> bool) -> Result<(), ServerError> {
        let action = format!("start {}", command.get_program().display());
        let log = File::create(self.log_path())
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(ServerError::io(format!("create {}", self.log_path().display())))?;
        let child = command
            .current_dir(self.directory())
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

        let begin = Instant::now();
        while !is_ready(id) {
            if self.reap()? {
                return Err(ServerError::Failed { action, output: self.log() });
            }
            if begin.elapsed() > START_LIMIT {
                return Err(self.timed_out(&action, START_LIMIT));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Asks the server to end by `signal` and waits until it has.
    pub(super) fn stop(&mut self, signal: &str) -> Result<(), ServerError> {
        let Some(id) = self.id() else {
            return Ok(());
        };
        self.resume()?;
        send(signal, &[id])?;
        let begin = Instant::now();
        while !self.reap()? {
            if begin.elapsed() > STOP_LIMIT {
                return Err(self.timed_out("see the server end", STOP_LIMIT));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Ends the server and its helpers by SIGKILL, all at once.
    pub(super) fn kill(&mut self) -> Result<(), ServerError> {
        let Some(id) = self.id() else {
            return Ok(());
        };
        // Stopped first, it can neither start another helper nor react to the loss of one.
        send("STOP", &[id])?;
        let helpers = helpers_of(id);
        let all: Vec<u32> = [id].into_iter().chain(helpers.iter().copied()).collect();
        send("KILL", &all)?;
        let begin = Instant::now();
        while !self.reap()? || helpers.iter().any(|helper| is_running(*helper)) {
            if begin.elapsed() > STOP_LIMIT {
                return Err(self.timed_out("see the server die", STOP_LIMIT));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Freezes the server and its helpers by SIGSTOP.
    pub(super) fn pause(&mut self) -> Result<(), ServerError> {
        let id = self.running()?;
        send("STOP", &[id])?;
        send("STOP", &helpers_of(id))
    }

    /// Lets a paused server go on.
    pub(super) fn resume(&mut self) -> Result<(), ServerError> {
        let id = self.running()?;
        send("CONT", &helpers_of(id))?;
        send("CONT", &[id])
    }

    /// Lets the server outlive this process; returns its directory, which stays as well.
    pub(super) fn detach(mut self) -> PathBuf {
        self.child = None;
        self.guard.disarm()
    }

    /// What the server printed since it was last started.
    pub(super) fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("log")
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

    fn timed_out(&self, action: &str, limit: Duration) -> ServerError {
        let log = self.log();
        let start = log.lines().count().saturating_sub(10);
        ServerError::TimedOut { action: action.to_owned(), limit, log: log.lines().skip(start).collect::<Vec<_>>().join("\n") }
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

/// The children of a process: PostgreSQL's are one for each connection and background task.
fn helpers_of(parent: u32) -> Vec<u32> {
    process_table().into_iter().filter(|entry| entry.parent == parent && !entry.is_zombie).map(|entry| entry.id).collect()
}

fn is_running(id: u32) -> bool {
    process_table().iter().any(|entry| entry.id == id && !entry.is_zombie)
}

struct Entry {
    id: u32,
    parent: u32,
    is_zombie: bool,
}

fn process_table() -> Vec<Entry> {
    match fs::read_dir("/proc") {
        Ok(processes) => processes
            .flatten()
            .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
            .filter_map(|stat| parse_stat(&stat))
            .collect(),
        Err(_) => Command::new("ps")
            .args(["-A", "-o", "pid=,ppid=,state="])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_ps).collect())
            .unwrap_or_default(),
    }
}

/// Reads a line of `/proc/*/stat`: "42 (a (name) with) S 1 …".
fn parse_stat(line: &str) -> Option<Entry> {
    let id = line.split_once(" (")?.0.parse().ok()?;
    let mut rest = line.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    Some(Entry { id, parent, is_zombie: state == "Z" })
}

fn parse_ps(line: &str) -> Option<Entry> {
    let mut columns = line.split_whitespace();
    Some(Entry { id: columns.next()?.parse().ok()?, parent: columns.next()?.parse().ok()?, is_zombie: columns.next()?.starts_with('Z') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_whose_name_holds_parentheses() {
        let entry = parse_stat("42 (a (b) c) Z 7 42 42 0").unwrap();
        assert_eq!((entry.id, entry.parent, entry.is_zombie), (42, 7, true));
    }

    #[test]
    fn reads_a_line_of_ps() {
        let entry = parse_ps("   42     7 Ss+").unwrap();
        assert_eq!((entry.id, entry.parent, entry.is_zombie), (42, 7, false));
    }

    #[test]
    fn finds_the_children_of_a_process() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(helpers_of(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_running(child.id()));
    }
}
