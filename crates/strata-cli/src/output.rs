//! What a command prints, for people or for scripts, and the exit codes.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};
use strata::{Error, ErrorKind};

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NO: u8 = 3;

/// How a command went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for what there is not.
    Usage(String),
    /// What was given is no key, no record or no condition.
    Input(Error),
    Store(Error),
    /// A file or the terminal.
    Io(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Store(error)
    }
}

impl Failure {
    /// The failure of a call that was given what somebody typed.
    pub(crate) fn of_input(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidValue | ErrorKind::InvalidQuery | ErrorKind::MissingPrimaryKey => Failure::Input(error),
            _ => Failure::Store(error),
        }
    }
}

/// Where a command prints to.
pub(crate) struct Output {
    is_json: bool,
    answers: Mutex<Box<dyn Write + Send>>,
    errors: Mutex<Box<dyn Write + Send>>,
    /// Why the answers could not be written, if it is not that nobody reads them any more.
    lost: Mutex<Option<io::Error>>,
}

impl Output {
    /// The standard output, and what is amiss to the standard error.
    pub(crate) fn standard(is_json: bool) -> Self {
        Output::new(is_json, io::stdout(), io::stderr())
    }

    pub(crate) fn new(is_json: bool, answers: impl Write + Send + 'static, errors: impl Write + Send + 'static) -> Self {
        Output { is_json, answers: Mutex::new(Box::new(answers)), errors: Mutex::new(Box::new(errors)), lost: Mutex::default() }
    }

    /// Prints a line for people, or an object for scripts. `false` if nobody reads any more.
    pub(crate) fn show<O: Display>(&self, text: impl FnOnce() -> String, object: impl FnOnce() -> O) -> bool {
        let line = if self.is_json { object().to_string() } else { text() };
        self.answer(&line)
    }

    /// Prints a line that scripts have no use for.
    pub(crate) fn tell(&self, text: &str) {
        if !self.is_json {
            self.answer(text);
        }
    }

    /// Prints an object that people have no use for.
    pub(crate) fn script(&self, object: impl FnOnce() -> Json) {
        if self.is_json {
            self.answer(&object().to_string());
        }
    }

    fn answer(&self, line: &str) -> bool {
        let Err(error) = print(&self.answers, line) else { return true };
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        false
    }

    /// Fails if an answer was lost.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.lost.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(Failure::Io(format!("the answer cannot be written: {error}; what the command was to do is done"))),
            None => Ok(()),
        }
    }

    /// Prints what is amiss, for people.
    pub(crate) fn warn(&self, text: &str) {
        if !self.is_json {
            let _ = print(&self.errors, text);
        }
    }

    /// Prints what went wrong.
    pub(crate) fn fail(&self, failure: &Failure) -> u8 {
        let (text, code, kind) = match failure {
            Failure::Usage(text) => (text.clone(), USAGE, None),
            Failure::Input(error) => (error.to_string(), USAGE, Some(format!("{:?}", error.kind()))),
            Failure::Store(error) => (error.to_string(), FAILED, Some(format!("{:?}", error.kind()))),
            Failure::Io(text) => (text.clone(), FAILED, None),
        };
        let line = if self.is_json { json!({ "error": text, "kind": kind }).to_string() } else { format!("error: {text}") };
        let _ = print(&self.errors, &line);
        code
    }
}

fn print(to: &Mutex<Box<dyn Write + Send>>, line: &str) -> io::Result<()> {
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(to, "{line}").and_then(|()| to.flush())
}
