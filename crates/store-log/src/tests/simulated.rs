//! A disk in memory that forgets in a crash what was not synced, in any combination, and fails on demand.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::files::{File, Files, NotLocked};

/// What the disk forgets or keeps by itself, in bytes.
const SECTOR: usize = 32;

/// What happens instead of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no room; a write takes half of its bytes before it says so.
    DiskFull,
    /// The device fails; a write takes half of its bytes. What a failed sync covered is not on the disk, and no later sync puts it there.
    Broken,
    /// A write takes half of its bytes and says so.
    Short,
}

/// What a crash leaves of the operations that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// Each sector and each operation by chance.
    Random(u64),
}

#[derive(Debug, Clone)]
enum Operation {
    Create { name: String, inode: usize },
    Rename { from: String, to: String, inode: usize },
    Remove { name: String },
    SyncDirectory,
    Write { inode: usize, offset: usize, bytes: Vec<u8> },
    SetLen { inode: usize, length: usize },
    Sync { inode: usize },
    FailedSync { inode: usize },
}

#[derive(Debug, Default)]
struct World {
    names: BTreeMap<String, usize>,
    inodes: Vec<Vec<u8>>,
    /// What the disk held before the first operation.
    origin: (BTreeMap<String, usize>, Vec<Vec<u8>>),
    operations: Vec<Operation>,
    /// How many operations could have failed.
    attempts: usize,
    fault: Option<(usize, Fault)>,
    next_sync_fails: bool,
    capacity: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Simulated {
    world: Arc<Mutex<World>>,
    locked: Arc<AtomicBool>,
}

impl Simulated {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no test panics with the disk")
    }

    /// How many operations have changed the disk.
    pub(crate) fn operations(&self) -> usize {
        self.world().operations.len()
    }

    /// Makes the operation fail that is the `after`th from now on.
    pub(crate) fn fail(&self, after: usize, fault: Fault) {
        let mut world = self.world();
        world.fault = Some((world.attempts + after, fault));
    }

    /// Makes the next sync of a file fail.
    pub(crate) fn fail_next_sync(&self) {
        self.world().next_sync_fails = true;
    }

    /// Lets every operation wait until the answer is dropped.
    pub(crate) fn pause(&self) -> impl Sized + '_ {
        self.world()
    }

    /// How many times a file was synced.
    pub(crate) fn syncs(&self) -> usize {
        self.world().operations.iter().filter(|operation| matches!(operation, Operation::Sync { .. })).count()
    }

    /// Whether the fault has not happened yet.
    pub(crate) fn is_fault_ahead(&self) -> bool {
        self.world().fault.is_some()
    }

    /// Limits the bytes of all files.
    pub(crate) fn limit(&self, capacity: Option<usize>) {
        self.world().capacity = capacity;
    }

    /// Changes a file behind the log's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let inode = world.names[name];
        change(&mut world.inodes[inode]);
    }

    pub(crate) fn remove_file(&self, name: &str) {
        self.world().names.remove(name).expect("the file is there");
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[name]].clone()
    }

    /// The disk as it is found after a crash that came when `count` operations had been done.
    pub(crate) fn crash(&self, count: usize, survival: Survival) -> Simulated {
        let world = self.world();
        let (mut names, mut inodes) = world.origin.clone();
        inodes.resize(world.inodes.len(), Vec::new());
        let mut pending: Vec<&Operation> = Vec::new();
        for operation in &world.operations[..count] {
            match operation {
                Operation::SyncDirectory => pending.retain(|operation| {
                    apply_to_names(&mut names, operation);
                    operation.inode().is_some()
                }),
                Operation::Sync { inode } => pending.retain(|operation| {
                    let is_synced = operation.inode() == Some(*inode);
                    if is_synced {
                        apply(&mut inodes[*inode], operation);
                    }
                    !is_synced
                }),
                Operation::FailedSync { inode } => {
                    pending.retain(|operation| !matches!(operation, Operation::Write { inode: other, .. } if other == inode));
                }
                _ => pending.push(operation),
            }
        }
        let mut random = match survival {
            Survival::Random(seed) => Some(fastrand::Rng::with_seed(seed ^ count as u64)),
            _ => None,
        };
        let mut survives = || match &mut random {
            Some(random) => random.bool(),
            None => survival == Survival::Everything,
        };
        for operation in pending {
            let Operation::Write { inode, offset, bytes } = operation else {
                if survives() {
                    apply_to_names(&mut names, operation);
                    if let Some(inode) = operation.inode() {
                        apply(&mut inodes[inode], operation);
                    }
                }
                continue;
            };
            // The length may survive where the bytes do not.
            if survives() {
                let end = offset + bytes.len();
                let length = inodes[*inode].len().max(end);
                inodes[*inode].resize(length, 0);
            }
            let mut at = *offset;
            while at < offset + bytes.len() {
                let end = ((at / SECTOR + 1) * SECTOR).min(offset + bytes.len());
                if survives() {
                    write(&mut inodes[*inode], at, &bytes[at - offset..end - offset]);
                }
                at = end;
            }
        }
        let origin = (names.clone(), inodes.clone());
        let world = World { names, inodes, origin, ..World::default() };
        Simulated { world: Arc::new(Mutex::new(world)), locked: Arc::default() }
    }

    /// Counts an operation and says whether it fails.
    fn attempt(world: &mut World) -> Option<Fault> {
        let at = world.attempts;
        world.attempts += 1;
        match world.fault {
            Some((fails, fault)) if at >= fails => {
                world.fault = None;
                Some(fault)
            }
            _ => None,
        }
    }

    fn attempt_whole(world: &mut World) -> io::Result<()> {
        match Self::attempt(world) {
            Some(Fault::DiskFull) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Broken) => Err(io::Error::other("the device is broken")),
            Some(Fault::Short) | None => Ok(()),
        }
    }
}

impl Operation {
    fn inode(&self) -> Option<usize> {
        match self {
            Operation::Write { inode, .. } | Operation::SetLen { inode, .. } => Some(*inode),
            _ => None,
        }
    }
}

fn apply_to_names(names: &mut BTreeMap<String, usize>, operation: &Operation) {
    match operation {
        Operation::Create { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        Operation::Rename { from, to, inode } => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
        Operation::Remove { name } => {
            names.remove(name);
        }
        _ => {}
    }
}

fn apply(content: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write { offset, bytes, .. } => write(content, *offset, bytes),
        Operation::SetLen { length, .. } => content.resize(*length, 0),
        _ => {}
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

#[derive(Debug)]
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Files for Simulated {
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn fmt::Debug + Send + Sync>, NotLocked> {
        if self.locked.swap(true, Ordering::SeqCst) {
            return Err(NotLocked::Held(None));
        }
        Ok(Box::new(Held(Arc::clone(&self.locked))))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inode = *self.world().names.get(&name(path)).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Inode { disk: self.clone(), inode }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        Self::attempt_whole(&mut world)?;
        let inode = world.inodes.len();
        world.inodes.push(Vec::new());
        world.operations.push(Operation::Create { name: name(path), inode });
        world.names.insert(name(path), inode);
        Ok(Arc::new(Inode { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        Self::attempt_whole(&mut world)?;
        let (from, to) = (name(from), name(to));
        let inode = world.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.clone(), inode);
        world.operations.push(Operation::Rename { from, to, inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        Self::attempt_whole(&mut world)?;
        world.names.remove(&name(path)).ok_or(io::ErrorKind::NotFound)?;
        world.operations.push(Operation::Remove { name: name(path) });
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut world = self.world();
        Self::attempt_whole(&mut world)?;
        world.operations.push(Operation::SyncDirectory);
        Ok(())
    }
}

#[derive(Debug)]
struct Inode {
    disk: Simulated,
    inode: usize,
}

impl File for Inode {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.world().inodes[self.inode].len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.world();
        let rest = world.inodes[self.inode].get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        let world = &mut *world;
        let fault = Simulated::attempt(world);
        let offset = offset as usize;
        let mut taken = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        if let Some(capacity) = world.capacity {
            let used: usize = world.names.values().map(|inode| world.inodes[*inode].len()).sum();
            let room = capacity.saturating_sub(used) + world.inodes[self.inode].len().saturating_sub(offset);
            taken = taken.min(room);
        }
        if taken > 0 {
            write(&mut world.inodes[self.inode], offset, &bytes[..taken]);
            world.operations.push(Operation::Write { inode: self.inode, offset, bytes: bytes[..taken].to_vec() });
        }
        match fault {
            Some(Fault::DiskFull) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Broken) => Err(io::Error::other("the device is broken")),
            Some(Fault::Short) | None if taken > 0 => Ok(taken),
            Some(Fault::Short) => Err(io::ErrorKind::Interrupted.into()),
            None => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        Simulated::attempt_whole(&mut world)?;
        let length = length as usize;
        world.inodes[self.inode].resize(length, 0);
        world.operations.push(Operation::SetLen { inode: self.inode, length });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        let result = match std::mem::take(&mut world.next_sync_fails) {
            true => Err(io::Error::other("the device is broken")),
            false => Simulated::attempt_whole(&mut world),
        };
        let inode = self.inode;
        world.operations.push(if result.is_ok() { Operation::Sync { inode } } else { Operation::FailedSync { inode } });
        result
    }
}
