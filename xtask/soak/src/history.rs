//! What the workers did, as they wrote it down: one line for each event, written at once, so that a killed worker leaves all it has told.
//!
//! Times are nanoseconds of the machine's monotonic clock, which all processes share.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

/// Nanoseconds on the clock that all processes share.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// How fresh a read asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    /// Every commit older than the bound.
    Bounded,
    /// Every commit that was acknowledged before the read began.
    Latest,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A write is about to begin; `number` 0 is a deletion.
    Began { key: u64, number: u64, at: u64 },
    /// The same write was acknowledged, with the version it drew where it drew one.
    Acknowledged { key: u64, number: u64, began: u64, at: u64, version: u64 },
    /// A read was answered; `number` 0 is nothing.
    Read { key: u64, number: u64, version: u64, began: u64, at: u64, promise: Promise },
    /// What the store counted when the worker ended.
    Ended { refused: u64, errors: u64, l1_hits: u64, l2_hits: u64, l3_hits: u64 },
    /// A call failed.
    Failed,
}

/// The file that one worker writes.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Journal(Mutex::new(file.with_context(|| format!("{} cannot be written", path.display()))?)))
    }

    pub(crate) fn write(&self, event: Event) -> Result<()> {
        let line = match event {
            Event::Began { key, number, at } => format!("b {key} {number} {at}\n"),
            Event::Acknowledged { key, number, began, at, version } => format!("a {key} {number} {began} {at} {version}\n"),
            Event::Read { key, number, version, began, at, promise } => {
                let promise = if promise == Promise::Bounded { 0 } else { 1 };
                format!("r {key} {number} {version} {began} {at} {promise}\n")
            }
            Event::Ended { refused, errors, l1_hits, l2_hits, l3_hits } => format!("e {refused} {errors} {l1_hits} {l2_hits} {l3_hits}\n"),
            Event::Failed => "f\n".to_owned(),
        };
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(file.write_all(line.as_bytes())?)
    }
}

/// Reads what a worker wrote. The last line of one that was killed may be cut off.
pub(crate) fn read(text: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        events.push(event(line.trim_end()).with_context(|| format!("the history has a line that is none of its own: {line:?}"))?);
    }
    Ok(events)
}

fn event(line: &str) -> Result<Event> {
    let mut words = line.split(' ');
    let kind = words.next();
    let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>()?;
    Ok(match (kind, numbers.as_slice()) {
        (Some("b"), &[key, number, at]) => Event::Began { key, number, at },
        (Some("a"), &[key, number, began, at, version]) => Event::Acknowledged { key, number, began, at, version },
        (Some("r"), &[key, number, version, began, at, promise]) => {
            let promise = if promise == 0 { Promise::Bounded } else { Promise::Latest };
            Event::Read { key, number, version, began, at, promise }
        }
        (Some("e"), &[refused, errors, l1_hits, l2_hits, l3_hits]) => Event::Ended { refused, errors, l1_hits, l2_hits, l3_hits },
        (Some("f"), &[]) => Event::Failed,
        _ => bail!("it cannot be read"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_their_lines() {
        let directory = std::env::temp_dir().join(format!("strata-soak-{}", std::process::id()));
        let events = [
            Event::Began { key: 1, number: 2, at: 3 },
            Event::Acknowledged { key: 1, number: 2, began: 3, at: 4, version: 5 },
            Event::Read { key: 1, number: 2, version: 5, began: 6, at: 7, promise: Promise::Latest },
            Event::Ended { refused: 1, errors: 2, l1_hits: 3, l2_hits: 4, l3_hits: 5 },
            Event::Failed,
        ];
        let journal = Journal::create(&directory).unwrap();
        events.iter().for_each(|event| journal.write(*event).unwrap());
        let text = std::fs::read_to_string(&directory).unwrap();
        std::fs::remove_file(&directory).unwrap();
        assert_eq!(read(&text).unwrap(), events);
        assert_eq!(read(&text[..text.len() - 1]).unwrap().len(), events.len() - 1, "a line that was cut off is not read");
        assert!(read("x 1\n").is_err());
    }
}
