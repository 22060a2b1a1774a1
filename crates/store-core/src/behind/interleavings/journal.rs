//! A journal on a disk of the explorer's: what is appended is there at once, and durable some steps later.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Weak};

use shuttle::future::yield_now;
use shuttle::rand::{Rng, thread_rng};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use super::{Behind, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;

/// The disks, by directory. No step is made while one is locked.
static DISKS: LazyLock<std::sync::Mutex<HashMap<PathBuf, Disk>>> = LazyLock::new(Default::default);

/// The entries of a journal, from the place `first` on.
#[derive(Debug, Clone, Default)]
struct Disk {
    released: u64,
    entries: Vec<Vec<u8>>,
    durable: u64,
}

impl Disk {
    fn last(&self) -> u64 {
        self.released + self.entries.len() as u64
    }
}

fn with<R>(directory: &Path, see: impl FnOnce(&mut Disk) -> R) -> R {
    let mut disks = DISKS.lock().expect("no test panics under it");
    see(disks.entry(directory.to_owned()).or_default())
}

/// The journal as a crash of the process leaves it now, or of the machine.
pub(crate) fn crash(from: &Path, to: &Path, is_machine: bool) {
    let mut left = with(from, |disk| disk.clone());
    if is_machine {
        left.entries.truncate(left.durable.saturating_sub(left.released) as usize);
    }
    left.durable = left.last();
    with(to, |disk| *disk = left);
}

pub(crate) fn forget(directory: &Path) {
    DISKS.lock().expect("no test panics under it").remove(directory);
}

/// No disk of the explorer's is damaged.
pub(crate) fn name_of_damaged(_: &Error) -> Option<String> {
    None
}

type Appended = (Result<Range<u64>>, bool, Box<dyn Staged>, Option<u64>);
pub(crate) type Left = Vec<(u64, Vec<u8>)>;

#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    /// Locked by who appends: others may come before.
    turn: Mutex<()>,
    appended: mpsc::UnboundedSender<Appended>,
}

impl Journal {
    pub(crate) async fn open(_: &Handle, directory: &Path, _: u64, _: Option<u64>) -> Result<(Self, Landing)> {
        let (appended, landing) = mpsc::unbounded_channel();
        Ok((Journal { directory: directory.to_owned(), turn: Mutex::new(()), appended }, Landing(directory.to_owned(), landing)))
    }

    /// All copies of a journal have one.
    pub(crate) fn name(&self) -> &str {
        "journal"
    }

    pub(crate) fn last(&self) -> u64 {
        with(&self.directory, |disk| disk.last())
    }

    pub(crate) fn first(&self) -> u64 {
        with(&self.directory, |disk| disk.released + 1)
    }

    pub(crate) async fn left(&self, _: &Handle, applied: u64) -> Result<Left> {
        Ok(with(&self.directory, |disk| {
            let entries = (disk.released + 1..).zip(disk.entries.iter().cloned());
            entries.filter(|(place, _)| *place > applied).collect()
        }))
    }

    pub(crate) async fn checksum(&self, _: &Handle, place: u64) -> Result<Option<u64>> {
        Ok(with(&self.directory, |disk| {
            let at = place.checked_sub(disk.released + 1)?;
            disk.entries.get(usize::try_from(at).ok()?).map(|entry| xxh3_64(entry))
        }))
    }

    pub(crate) fn append(&self, entries: &[Vec<u8>], synced: bool, staged: Box<dyn Staged>) {
        let checksum = entries.last().map(|entry| xxh3_64(entry));
        let _turn = self.turn.lock().expect("no step panics");
        // Now and then it is full.
        let places = if thread_rng().gen_range(0..10) == 0 {
            Err(Error::new(ErrorKind::JournalUnavailable, "the explorer chose this failure").with_retryable(true))
        } else {
            Ok(with(&self.directory, |disk| {
                let first = disk.last() + 1;
                disk.entries.extend_from_slice(entries);
                first..disk.last() + 1
            }))
        };
        if self.appended.send((places, synced, staged, checksum)).is_err() {
            panic!("what lands is taken as long as the journal is");
        }
    }

    pub(crate) async fn sync(&self, up_to: u64) -> Result<()> {
        yield_now().await;
        with(&self.directory, |disk| {
            assert!(up_to <= disk.last());
            disk.durable = disk.last();
        });
        Ok(())
    }

    pub(crate) async fn release(&self, _: &Handle, applied: u64) {
        yield_now().await;
        with(&self.directory, |disk| {
            let gone = applied.saturating_sub(disk.released).min(disk.entries.len() as u64);
            disk.entries.drain(..gone as usize);
            disk.released += gone;
        });
    }

    pub(crate) async fn close(&self, _: &Handle) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Landing(PathBuf, mpsc::UnboundedReceiver<Appended>);

impl Landing {
    pub(crate) async fn run(mut self, behind: Weak<Behind>) {
        while let Some((places, synced, staged, checksum)) = self.1.recv().await {
            if synced && places.is_ok() {
                yield_now().await;
                with(&self.0, |disk| disk.durable = disk.last());
                yield_now().await;
            }
            match (behind.upgrade(), places) {
                (Some(behind), Ok(places)) => behind.land(staged, Some(places), checksum),
                (_, Err(error)) => staged.refuse(error),
                (None, _) => staged.refuse(Error::runtime_ended()),
            }
        }
    }
}
