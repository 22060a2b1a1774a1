use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::Result;
use crate::config::LogConfig;
use crate::create::{UNFINISHED, create_segment, reserve_segment};
use crate::error::{LogError, LogErrorKind};
use crate::files::{File, Files, NotLocked, read_full_at, write_all_at};
use crate::format::{self, BadHeader, LogId, SEGMENT_HEADER, Seed, SegmentHeader};
use crate::scan::{Flaw, Gap, Scan, Window, is_proven_durable, next_whole, scan};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::writer::Writer;

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the directory held no log, and a new one was begun.
    pub is_new: bool,
    /// What a crash had left unfinished at the end, if anything: it was cut off. No entry of it was ever acknowledged as durable.
    pub cut: Option<Cut>,
    /// What was damaged and skipped, in order: no entry of it is behind [`skip_damage_up_to`](LogConfig::skip_damage_up_to).
    pub skipped: Vec<Skipped>,
}

/// Damaged bytes of a log that was opened without them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The segment.
    pub path: PathBuf,
    /// Where in the file what is skipped begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// The sequences of its entries; empty where they held none.
    pub sequences: Range<u64>,
}

/// The unfinished end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The segment it was cut from.
    pub path: PathBuf,
    /// Where in the file it began.
    pub offset: u64,
    /// How many bytes it had.
    pub bytes: u64,
    /// The sequence that its first entry had or would have had. The next append gets it.
    pub sequence: u64,
}

/// The lock on a log's directory; dropping it gives the directory free.
pub(crate) type Lock = Box<dyn fmt::Debug + Send + Sync>;

/// A log that was opened, and has no thread yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) id: LogId,
    pub(crate) recovery: Recovery,
    pub(crate) lock: Lock,
}

pub(crate) fn open(files: Arc<dyn Files>, directory: &Path, config: LogConfig) -> Result<Opened> {
    config.check()?;
    files.create_directory(directory).map_err(|error| LogError::io("create the directory", directory, error))?;
    let lock = lock(&*files, directory)?;
    let names = files.list(directory).map_err(|error| LogError::io("list the directory", directory, error))?;
    if names.iter().any(|name| name == UNFINISHED) {
        let path = directory.join(UNFINISHED);
        files.remove(&path).map_err(|error| LogError::io("remove an unfinished segment", &path, error))?;
    }
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| format::first_of_name(name)).collect();
    firsts.sort_unstable();

    let mut found = Found { segments: Vec::new(), last: None, id: None, cut: None, skipped: Vec::new() };
    for (at, first) in firsts.iter().enumerate() {
        let read = found.read(&*files, directory, *first, firsts.get(at + 1).copied(), config.skip_damage_up_to);
        read.map_err(|error| name_log(error, &*files, directory, &firsts))?;
    }
    let Found { segments, last, id, cut, skipped } = found;
    for Skipped { path, offset, bytes, sequences } in &skipped {
        let path = path.display();
        tracing::warn!(%path, offset, bytes, ?sequences, "skipped damaged entries of the log, as it was told to; the disk may be failing");
    }
    if let Some(cut) = &cut {
        let Cut { path, offset, bytes, sequence } = cut;
        tracing::warn!(path = %path.display(), offset, bytes, sequence, "cut off the unfinished end of the log");
    }
    let shared = Arc::new(Shared::new(files, directory.to_owned(), config, segments.clone()));
    // The process before may have ended between creating a segment and the directory's sync.
    shared.sync_directory()?;
    let recovery = Recovery { is_new: segments.is_empty(), cut, skipped };
    let (id, segment, file, length) = match (segments.last(), last, id) {
        (Some(segment), Some((file, length)), Some(id)) => (id, Arc::clone(segment), file, length),
        _ => {
            let id = random_id();
            let (segment, file) = create_segment(&shared, &id, 1)?;
            shared.add_segment(Arc::clone(&segment));
            (id, segment, file, SEGMENT_HEADER)
        }
    };
    reserve_segment(&shared);
    let writer = Writer::new(Arc::clone(&shared), id, segment, file, length);
    Ok(Opened { shared, writer, id, recovery, lock })
}

fn lock(files: &dyn Files, directory: &Path) -> Result<Lock> {
    let path = directory.join("lock");
    files.lock(&path).map_err(|error| match error {
        NotLocked::Io(error) => LogError::io("lock the directory", &path, error),
        NotLocked::Held(holder) => {
            let who = match holder {
                Some(pid) if pid == std::process::id() => "this process".to_owned(),
                Some(pid) => format!("process {pid}"),
                None => "another process".to_owned(),
            };
            LogError::new(LogErrorKind::Locked, format!("{who} has opened this directory"))
                .with_hint("close it there, or choose another directory")
                .with_path(directory)
                .with_holder(holder)
        }
    })
}

/// What has been read of a log.
struct Found {
    segments: Vec<Arc<Segment>>,
    /// The last segment's file and its length.
    last: Option<(Arc<dyn File>, u64)>,
    id: Option<LogId>,
    cut: Option<Cut>,
    skipped: Vec<Skipped>,
}

impl Found {
    /// Reads the segment that begins with `first`; `following` is what the one after it begins with. Damaged entries up to `skip` may be missing.
    fn read(&mut self, files: &dyn Files, directory: &Path, first: u64, following: Option<u64>, skip: Option<u64>) -> Result<()> {
        let path = directory.join(format::segment_name(first));
        let cannot_read = |error| LogError::io("read the segment", &path, error);
        let file = files.open(&path).map_err(cannot_read)?;
        let mut length = file.len().map_err(cannot_read)?;
        let header = read_header(&*file, &path)?;
        self.check_header(&header, first, &path)?;

        let seed = Seed::new(&header.id, first);
        let mut window = Window::new(Arc::clone(&file));
        let mut scan = scan(&mut window, seed, first, length, skip).map_err(cannot_read)?;
        if let (Some(following), Some(skip)) = (following, skip)
            && (scan.flaw.is_some() || scan.next < following)
            && following <= skip.saturating_add(1)
            && next_whole(&mut window, seed, scan.flaw.map_or(scan.end, |(offset, _)| offset), scan.next, length)
                .map_err(cannot_read)?
                .is_none()
        {
            scan.skip_to(following, length);
        }
        for Gap { offset, bytes, lost } in &scan.gaps {
            self.skipped.push(Skipped { path: path.clone(), offset: *offset, bytes: *bytes, sequences: lost.clone() });
        }
        if let Some((offset, flaw)) = scan.flaw {
            let is_torn = following.is_none() && !is_proven_durable(&mut window, seed, offset, scan.next, length).map_err(cannot_read)?;
            if !is_torn {
                let next = next_whole(&mut window, seed, offset, scan.next, length).map_err(cannot_read)?.map(|(next, _)| next);
                return Err(damaged(&path, &scan, offset, flaw, next.or(following)));
            }
            self.cut = Some(Cut { path: path.clone(), offset: scan.end, bytes: length - scan.end, sequence: scan.next });
            let cannot_cut = |error| LogError::io("cut off the unfinished end", &path, error);
            file.set_len(scan.end).map_err(cannot_cut)?;
            length = scan.end;
        }
        if following.is_none() {
            let settled = settle(&*file, &mut window, &scan).and_then(|()| file.sync());
            settled.map_err(|error| LogError::io("make the end of the log durable", &path, error))?;
            self.last = Some((file, length));
        }
        self.segments.push(Arc::new(Segment::new(path, seed, first, scan)));
        Ok(())
    }

    /// Checks that a segment is of this log and comes next.
    fn check_header(&mut self, header: &SegmentHeader, first: u64, path: &Path) -> Result<()> {
        if header.first != first {
            let what = format!("the segment that begins with entry {} has the name of another", header.first);
            return Err(corrupt(what, path, 32, format!("rename it to {}", format::segment_name(header.first))));
        }
        if *self.id.get_or_insert(header.id) != header.id {
            let what = "the segment is of another log than those before it";
            return Err(corrupt(what, path, 16, "move it out of the directory, and put the segment of this log in its place"));
        }
        match self.segments.last() {
            Some(before) if before.next() != first => {
                let what = format!("entries {} to {} are missing between this segment and the next", before.next(), first - 1);
                let hint = format!(
                    "put the missing files back from a copy; to give up these entries alone, open the log with `skip_damage_up_to` {}; to give up entry {} and all after \
                     it, move the segments after this one out of the directory",
                    first.saturating_sub(1),
                    before.next()
                );
                Err(corrupt(what, &before.path, before.end(), hint).with_lost(Some(before.next()..first)))
            }
            _ => Ok(()),
        }
    }
}

fn corrupt(what: impl Into<String>, path: &Path, offset: u64, hint: impl Into<String>) -> LogError {
    LogError::new(LogErrorKind::Corrupt, what).with_hint(hint.into()).with_path(path).with_offset(offset)
}

/// `following` is the sequence of the first whole entry behind the damage.
fn damaged(path: &Path, scan: &Scan, offset: u64, flaw: Flaw, following: Option<u64>) -> LogError {
    let Scan { end, next, .. } = scan;
    let cut = format!("to give up entry {next} and all after it, cut the file to {end} bytes and move later segments out of the directory");
    let (hint, lost) = match following {
        Some(following) if following > *next => {
            let last = following - 1;
            let keep = format!(
                "entries {next} to {last} are damaged, {following} and what follows is whole: to give up the former alone, open the log with \
                 `skip_damage_up_to` {last}"
            );
            (format!("restore the file from a copy; {keep}; {cut}"), Some(*next..following))
        }
        Some(_) => {
            let keep = format!("no entry is damaged: open the log with `skip_damage_up_to` {}", next - 1);
            (format!("{keep}, or restore the file from a copy"), Some(*next..*next))
        }
        None => (format!("restore the file from a copy; {cut}"), None),
    };
    corrupt(flaw.to_string(), path, offset, hint).with_lost(lost)
}

/// Lets the error of a damaged log say which one it is.
fn name_log(error: LogError, files: &dyn Files, directory: &Path, firsts: &[u64]) -> LogError {
    if error.kind() != LogErrorKind::Corrupt {
        return error;
    }
    let id = firsts.iter().find_map(|first| {
        let path = directory.join(format::segment_name(*first));
        Some(read_header(&*files.open(&path).ok()?, &path).ok()?.id)
    });
    error.with_log(id)
}

fn read_header(file: &dyn File, path: &Path) -> Result<SegmentHeader> {
    let mut bytes = [0; SEGMENT_HEADER as usize];
    let filled = read_full_at(file, &mut bytes, 0).map_err(|error| LogError::io("read the segment", path, error))?;
    let header = if filled < bytes.len() { Err(BadHeader::Damaged) } else { SegmentHeader::decode(&bytes) };
    header.map_err(|bad| match bad {
        BadHeader::Damaged => {
            let hint =
                "restore the file from a copy; to give up its entries and all after them, move it and later segments out of the directory";
            corrupt("the segment's header does not match its checksum", path, 0, hint)
        }
        BadHeader::Version(version) => LogError::new(LogErrorKind::Unsupported, format!("the segment has format {version}"))
            .with_hint("open it with the version of Strata that wrote it, or a newer one")
            .with_path(path),
    })
}

/// Writes again what no entry proves durable. A sync that failed in a process before may have left it in the kernel's memory as if it were written; only after a write of its
/// own does this sync cover it.
fn settle(file: &dyn File, window: &mut Window, scan: &Scan) -> io::Result<()> {
    let mut offset = scan.durable.max(SEGMENT_HEADER);
    while offset < scan.end {
        let count = (scan.end - offset).min(64 << 10) as usize;
        let bytes = window.get(offset, count, scan.end)?;
        write_all_at(file, bytes, offset)?;
        offset += count as u64;
    }
    Ok(())
}

/// A name that no other log has. It guards against mistakes, not against anybody, so the standard library's randomness will do.
fn random_id() -> LogId {
    let salt = (SystemTime::now(), std::process::id());
    let mut id = LogId::default();
    for half in id.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(salt).to_le_bytes());
    }
    id
}
