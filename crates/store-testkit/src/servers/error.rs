use std::path::PathBuf;
use std::time::Duration;
use std::{error, fmt, io};

/// Why a server could not be found, started or controlled.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// No suitable program is installed.
    NotInstalled {
        /// What was looked for.
        programs: &'static str,
        /// Where it was looked for.
        places: String,
        /// The environment variable that names the place.
        variable: &'static str,
    },
    /// The operating system refused something.
    Io {
        /// What was attempted.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended, or answered, with a failure.
    Failed {
        /// What was attempted.
        action: String,
        /// What the program said.
        output: String,
    },
    /// Something did not happen in time.
    TimedOut {
        /// What was awaited.
        action: String,
        /// For how long.
        limit: Duration,
        /// The end of the server's log.
        log: String,
    },
    /// The call needs a running server, and this one was killed or stopped.
    NotRunning {
        /// The directory of the server.
        directory: PathBuf,
    },
}

impl ServerError {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
        let action = action.into();
        move |source| ServerError::Io { action, source }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::NotInstalled { programs, places, variable } => write!(
                f,
                "{programs} not found (looked in {places}): run the tests with `cargo xtask test`, \
                 which installs what is missing, or set {variable}"
            ),
            ServerError::Io { action, source } => write!(f, "cannot {action}: {source}"),
            ServerError::Failed { action, output } => {
                write!(f, "cannot {action}: {}", output.trim())
            }
            ServerError::TimedOut { action, limit, log } => {
                write!(f, "gave up after {limit:?} waiting to {action}")?;
                match log.trim() {
                    "" => Ok(()),
                    log => write!(f, "; the log ends with:\n{log}"),
                }
            }
            ServerError::NotRunning { directory } => {
                write!(f, "the server of {} is not running: call `restart` first", directory.display())
            }
        }
    }
}

impl error::Error for ServerError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ServerError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
