use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Account, ServerError};

/// Reads the server's process id, again after each start, until its input ends: either because the
/// owner dropped the guard, or because the owner's process died and the system closed the pipe.
///
/// The polite signal lets PostgreSQL give its shared memory back; CONT wakes a paused server to hear it.
/// A server that has ended but whom nobody has reaped yet (a zombie) is as good as gone.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -"$2" "$pid"
    kill -CONT "$pid"
    tries=0
    while kill -0 "$pid" && ! grep -q '^State:.Z' "/proc/$pid/status" && [ "$tries" -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -KILL "$pid"
fi
rm -rf "$1"
"#;

/// Owns a server's directory, and ends the server and removes the directory when it is dropped or
/// when this process dies, however it dies.
#[derive(Debug)]
pub(super) struct Guard {
    directory: PathBuf,
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Makes a directory named after `name`, belonging to `account`, and watches over it.
    ///
    /// `signal` is the one that ends the server at once.
    pub(super) fn new(name: &str, account: Option<&Account>, signal: &str) -> Result<Self, ServerError> {
        let directory = make_directory(name)?;
        if let Some(account) = account {
            account.give(&directory)?;
        }
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&directory)
            .arg(signal)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C on the terminal reaches the whole process group; the guard must outlive it.
            .process_group(0)
            .spawn()
            .map_err(ServerError::io("run `sh` to watch over a server"))?;
        let input = shell.stdin.take();
        Ok(Self { directory, shell, input })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Watches process `id` from now on, or none.
    pub(super) fn watch(&mut self, id: Option<u32>) -> Result<(), ServerError> {
        let line = id.map_or_else(|| "\n".to_owned(), |id| format!("{id}\n"));
        match &mut self.input {
            Some(input) => input.write_all(line.as_bytes()),
            None => Ok(()),
        }
        .map_err(ServerError::io("tell the guard of a server its process id"))
    }

    /// Whether the guard can still do its work.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// Starts the cleaning; it goes on while the caller reaps the server.
    pub(super) fn release(&mut self) {
        self.input = None;
    }

    /// Gives the watch up, so that the server and its directory stay.
    pub(super) fn disarm(&mut self) -> PathBuf {
        let _ = self.shell.kill();
        std::mem::take(&mut self.directory)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
        let _ = self.shell.wait();
        if !self.directory.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn make_directory(name: &str) -> Result<PathBuf, ServerError> {
    // No name is given twice, or the guard that removes a directory could meet its successor.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let parent = std::env::temp_dir();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("strata-{name}-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(ServerError::io(format!("create {}", directory.display()))(error));
            }
        }
    }
}
