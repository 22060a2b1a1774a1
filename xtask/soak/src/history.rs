//! What the workers did, as they wrote it down. What begins or ends a write is written at once, so that a killed worker leaves all it has told the servers;
//! reads are gathered for a moment.
//!
//! Times are nanoseconds of the machine's monotonic clock, which all processes share.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::FallocateFlags;
use rustix::time::{ClockId, Timespec};

/// Nanoseconds on the clock that all processes share.
pub(crate) fn now() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: Timespec) -> u64 {
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

/// A time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spell {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Spell {
    pub(crate) fn overlaps(&self, other: &Spell) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// What a key is the key of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A record of the truth, whose writes are in its log.
    Item,
    /// A record of the truth, of whose changes an invalidation alone tells.
    Tagged,
    /// What a load brought: of the changes of its source an invalidation alone tells, and that lies in Redis.
    Loaded,
}

impl Kind {
    /// The key in a history.
    pub(crate) fn key(self, key: u64) -> u64 {
        match self {
            Kind::Item => key,
            Kind::Tagged => 1 << 40 | key,
            Kind::Loaded => 1 << 41 | key,
        }
    }

    pub(crate) fn of_key(key: u64) -> Self {
        match key >> 40 {
            0 => Kind::Item,
            1 => Kind::Tagged,
            _ => Kind::Loaded,
        }
    }
}

/// How something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Alone,
    /// With others, all or none.
    Batch,
    /// Where nothing was.
    Insert,
    /// In the place of the record with this number.
    Update {
        of: u64,
    },
    Transaction,
    /// By a condition, of which the versions are not told; a key that a deletion did not touch was not there, and no copy of it is dropped.
    Condition {
        touched: bool,
    },
}

impl Way {
    fn to_numbers(self) -> (u64, u64) {
        match self {
            Way::Alone => (0, 0),
            Way::Batch => (1, 0),
            Way::Insert => (2, 0),
            Way::Update { of } => (3, of),
            Way::Transaction => (4, 0),
            Way::Condition { touched } => (5, u64::from(touched)),
        }
    }

    fn of_numbers(way: u64, of: u64) -> Result<Self> {
        Ok(match way {
            0 => Way::Alone,
            1 => Way::Batch,
            2 => Way::Insert,
            3 => Way::Update { of },
            4 => Way::Transaction,
            5 => Way::Condition { touched: of == 1 },
            _ => bail!("the history has a write of an unknown kind: {way}"),
        })
    }
}

/// What stores counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Fills that were refused because something overtook them.
    pub(crate) refused: u64,
    pub(crate) l1_hits: u64,
    pub(crate) l2_hits: u64,
    pub(crate) l3_hits: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        let Stats { refused, l1_hits, l2_hits, l3_hits } = other;
        self.refused += refused;
        self.l1_hits += l1_hits;
        self.l2_hits += l2_hits;
        self.l3_hits += l3_hits;
    }
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A write is about to begin; `number` 0 is a deletion.
    Began { key: u64, number: u64, at: u64 },
    /// The same write was acknowledged, with the version it drew where it drew one.
    Acknowledged { key: u64, number: u64, began: u64, at: u64, version: u64, way: Way },
    /// The same write failed: it may have been committed, or never be.
    WriteFailed { key: u64, number: u64, began: u64, at: u64 },
    /// The same write was refused or rolled back, and never took place.
    Never { key: u64, number: u64, began: u64, at: u64 },
    /// A transaction read a key and the next one.
    Pair { key: u64, first: u64, second: u64, began: u64, at: u64 },
    /// A read was answered; `number` 0 is nothing, `version` 0 one that was not told.
    Read { key: u64, number: u64, version: u64, began: u64, at: u64, promise: Promise },
    /// The number of a key that changes behind the store's back was this one when an invalidation of it began, which has been acknowledged.
    Invalidated { key: u64, number: u64, invalidation: Spell },
    /// What Redis was told in this time, it may have lost; it may still be going on if its end is the end of time.
    Lost(Spell),
    /// What the store counted when the worker ended.
    Ended(Stats),
    /// A call failed that was no write.
    Failed,
}

const WORDS: usize = 7;
/// How many bytes an event takes in a file.
const SIZE: usize = WORDS * 8;
/// How many bytes of reads are gathered at most, and for how long.
const GATHERED: usize = 64 * SIZE;
const GATHERING: Duration = Duration::from_millis(100);

impl Event {
    fn to_words(self) -> [u64; WORDS] {
        match self {
            Event::Began { key, number, at } => [1, key, number, at, 0, 0, 0],
            Event::Acknowledged { key, number, began, at, version, way } => {
                let (way, of) = way.to_numbers();
                [2 | way << 8, key, number, began, at, version, of]
            }
            Event::Read { key, number, version, began, at, promise } => {
                [3, key, number, version, began, at, u64::from(promise == Promise::Latest)]
            }
            Event::Ended(Stats { refused, l1_hits, l2_hits, l3_hits }) => [4, refused, l1_hits, l2_hits, l3_hits, 0, 0],
            Event::Failed => [5, 0, 0, 0, 0, 0, 0],
            Event::Invalidated { key, number, invalidation } => [6, key, number, invalidation.from, invalidation.to, 0, 0],
            Event::Lost(spell) => [7, spell.from, spell.to, 0, 0, 0, 0],
            Event::WriteFailed { key, number, began, at } => [8, key, number, began, at, 0, 0],
            Event::Never { key, number, began, at } => [9, key, number, began, at, 0, 0],
            Event::Pair { key, first, second, began, at } => [10, key, first, second, began, at, 0],
        }
    }

    fn of_words(words: [u64; WORDS]) -> Result<Self> {
        Ok(match words {
            [1, key, number, at, ..] => Event::Began { key, number, at },
            [3, key, number, version, began, at, promise] => {
                let promise = if promise == 0 { Promise::Bounded } else { Promise::Latest };
                Event::Read { key, number, version, began, at, promise }
            }
            [4, refused, l1_hits, l2_hits, l3_hits, ..] => Event::Ended(Stats { refused, l1_hits, l2_hits, l3_hits }),
            [5, ..] => Event::Failed,
            [6, key, number, from, to, ..] => Event::Invalidated { key, number, invalidation: Spell { from, to } },
            [7, from, to, ..] => Event::Lost(Spell { from, to }),
            [8, key, number, began, at, ..] => Event::WriteFailed { key, number, began, at },
            [9, key, number, began, at, ..] => Event::Never { key, number, began, at },
            [10, key, first, second, began, at, _] => Event::Pair { key, first, second, began, at },
            [way, key, number, began, at, version, of] if way & 0xff == 2 => {
                Event::Acknowledged { key, number, began, at, version, way: Way::of_numbers(way >> 8, of)? }
            }
            _ => bail!("the history has an event that is none of its own: {words:?}"),
        })
    }
}

/// The file that one instance writes.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<Gathered>);

#[derive(Debug)]
struct Gathered {
    file: File,
    bytes: Vec<u8>,
    written: Instant,
}

impl Journal {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Journal(Mutex::new(Gathered { file, bytes: Vec::with_capacity(GATHERED), written: Instant::now() })))
    }

    pub(crate) fn write(&self, event: Event) -> Result<()> {
        let mut gathered = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        event.to_words().iter().for_each(|word| gathered.bytes.extend(word.to_le_bytes()));
        let waits = matches!(event, Event::Read { .. }) && gathered.bytes.len() < GATHERED && gathered.written.elapsed() < GATHERING;
        if !waits {
            let Gathered { file, bytes, written } = &mut *gathered;
            file.write_all(bytes)?;
            bytes.clear();
            *written = Instant::now();
        }
        Ok(())
    }
}

/// Follows a file while it is written.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    /// How many bytes were read.
    position: u64,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Reader { file: file.with_context(|| format!("{} cannot be read", path.display()))?, position: 0 })
    }

    /// The events written since the last call, whose place in the file is given back. The last one of a worker that was killed may be cut off.
    pub(crate) fn read(&mut self) -> Result<Vec<Event>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.position))?;
        self.file.read_to_end(&mut bytes)?;
        let mut events = Vec::with_capacity(bytes.len() / SIZE);
        for event in bytes.chunks_exact(SIZE) {
            let mut words = [0; WORDS];
            for (word, bytes) in words.iter_mut().zip(event.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            events.push(Event::of_words(words)?);
        }
        self.position += (events.len() * SIZE) as u64;
        // A file system that cannot do so keeps it.
        let _ = rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, self.position.max(1));
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_their_file() {
        let path = std::env::temp_dir().join(format!("strata-soak-{}", std::process::id()));
        let read = Event::Read { key: 1, number: 2, version: 5, began: 6, at: 7, promise: Promise::Latest };
        let events = [
            read,
            Event::Began { key: 1, number: 2, at: 3 },
            Event::Acknowledged { key: 1, number: 2, began: 3, at: 4, version: 5, way: Way::Update { of: 6 } },
            Event::Never { key: 1, number: 2, began: 3, at: 4 },
            Event::Pair { key: 1, first: 2, second: 3, began: 4, at: 5 },
            Event::Invalidated { key: 1, number: 2, invalidation: Spell { from: 3, to: 4 } },
            Event::Lost(Spell { from: 1, to: 2 }),
            Event::WriteFailed { key: 1, number: 2, began: 3, at: 4 },
            Event::Ended(Stats { refused: 1, l1_hits: 3, l2_hits: 4, l3_hits: 5 }),
            Event::Failed,
        ];
        let journal = Journal::create(&path).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        events.iter().for_each(|event| journal.write(*event).unwrap());
        assert_eq!(reader.read().unwrap(), events);
        assert_eq!(reader.read().unwrap(), []);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[5, 0, 0]).unwrap();
        assert_eq!(reader.read().unwrap(), [], "an event that was cut off is not read");
        file.write_all(&[0; SIZE - 3]).unwrap();
        assert_eq!(reader.read().unwrap(), [Event::Failed]);
        file.write_all(&[9; SIZE]).unwrap();
        assert!(reader.read().is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
