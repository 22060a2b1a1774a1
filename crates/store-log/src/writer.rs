use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::Result;
use crate::commit::Promise;
use crate::create::{create_segment, give_reserve_back, reserve_segment};
use crate::error::{LogError, LogErrorKind};
use crate::files::{File, write_all_at};
use crate::format::{ENTRY_HEADER, EntryHeader, LogId, SEGMENT_HEADER};
use crate::queue::{Gathering, Group, Request, Work};
use crate::segment::Segment;
use crate::shared::Shared;

/// The longest that a group is gathered.
const MOST_PATIENCE: Duration = Duration::from_millis(2);
/// How many groups are not gathered after one that gathering did not make larger.
const DISCOURAGED: u32 = 16;

/// The one that writes: it owns the end of the last segment.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    id: LogId,
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    /// Where the next entry goes.
    end: u64,
    next: u64,
    durable_end: u64,
    durable_next: u64,
    /// The file's length: its entries and what lies after them.
    length: u64,
    /// Whether the file has changed since its last sync.
    is_changed: bool,
    /// Whether there was no room for zeros in this segment.
    fill_failed: bool,
    /// Where the last witness ends.
    witnessed: u64,
    /// The entries that are written, and whose commits wait for the sync.
    unsynced: Vec<(Promise, u64)>,
    /// Empty but while a group is answered.
    wakers: Vec<Waker>,
    last_sync: Duration,
    /// How many requests came while the last sync lasted.
    queued: usize,
    discouraged: u32,
}

/// Requests that lie side by side in the buffer and go into the file by one write.
#[derive(Debug, Default)]
struct Run {
    bytes: Range<usize>,
    count: u64,
    requests: Vec<Request>,
}

impl Writer {
    /// A writer of the last segment, all of which is durable.
    pub(crate) fn new(shared: Arc<Shared>, id: LogId, segment: Arc<Segment>, file: Arc<dyn File>, length: u64) -> Self {
        let (end, next) = (segment.end(), segment.next());
        Self {
            shared,
            id,
            segment,
            file,
            end,
            next,
            durable_end: end,
            durable_next: next,
            length,
            is_changed: false,
            fill_failed: false,
            witnessed: end,
            unsynced: Vec::new(),
            wakers: Vec::new(),
            last_sync: Duration::ZERO,
            queued: 0,
            discouraged: 0,
        }
    }

    /// Works until the log is closed.
    pub(crate) fn run(mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        // A defect of the writer must not leave anybody waiting.
        let _guard = Abandon(&shared);
        let mut group = Group::default();
        let mut gathering = Gathering::default();
        loop {
            match shared.queue.take(&mut group, gathering) {
                Work::Group => {
                    let count = group.requests.len();
                    let synced = self.process(&mut group);
                    gathering = self.gathering(gathering.expected, count, synced);
                }
                Work::Idle => self.witness(),
                Work::Close => return self.close(),
            }
            gathering.tells_idle = self.witnessed < self.end && self.durable_end == self.end;
        }
    }

    /// Whoever waited for the last sync is likely to append again. Waiting for them makes one large group of two small ones that would take turns, which is worth as much as a
    /// sync lasts.
    fn gathering(&mut self, expected: usize, count: usize, synced: usize) -> Gathering {
        if count < expected / 4 * 3 {
            self.discouraged = DISCOURAGED;
        }
        if self.discouraged > 0 {
            self.discouraged -= 1;
            return Gathering::default();
        }
        let expected = if synced > 0 { synced + self.queued } else { 0 };
        Gathering { expected, patience: self.last_sync.min(MOST_PATIENCE), tells_idle: false }
    }

    /// Writes and syncs a group, and answers all of it. Returns how many waited for the sync.
    fn process(&mut self, group: &mut Group) -> usize {
        let mut run = Run::default();
        let mut begin = 0;
        for request in group.requests.drain(..) {
            let bytes = begin..begin + request.bytes;
            begin = bytes.end;
            if let Err(error) = self.make_room(&mut run, &mut group.buffer, bytes.len() as u64) {
                self.write(&mut run, &mut group.buffer);
                self.answer(request, Err(error));
                continue;
            }
            if run.bytes.end != bytes.start {
                self.write(&mut run, &mut group.buffer);
                run.bytes = bytes.start..bytes.start;
            }
            self.seal(&run, &mut group.buffer[bytes.clone()], request.count);
            run.bytes.end = bytes.end;
            run.count += u64::from(request.count);
            run.requests.push(request);
        }
        self.write(&mut run, &mut group.buffer);
        let synced = self.unsynced.len();
        if synced > 0 {
            // Who waits is told.
            let _ = self.sync();
        }
        synced
    }

    /// Makes sure that a request fits behind the run, in the next segment if need be.
    fn make_room(&mut self, run: &mut Run, buffer: &mut [u8], bytes: u64) -> Result<()> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure.clone());
        }
        if bytes == 0 {
            // A sync takes none.
            return Ok(());
        }
        let fits = self.end + run.bytes.len() as u64 + bytes <= self.shared.config.segment_bytes;
        let header = if fits { 0 } else { SEGMENT_HEADER };
        // Nobody has released what is still to be written.
        let leaving = if run.bytes.is_empty() { self.shared.leaving(bytes) } else { 0 };
        if !self.shared.has_room_without(leaving, run.bytes.len() as u64 + header + bytes) {
            return Err(full(&self.shared));
        }
        if fits {
            return Ok(());
        }
        self.write(run, buffer);
        // The run may have failed, and left room.
        if self.end + bytes > self.shared.config.segment_bytes { self.rotate() } else { Ok(()) }
    }

    /// Completes the headers of a request's entries, which come after the run.
    fn seal(&self, run: &Run, mut frames: &mut [u8], count: u32) {
        let mut offset = self.end + run.bytes.len() as u64;
        for (sequence, following) in (self.next + run.count..).zip((0..count).rev()) {
            let length = EntryHeader::decode(frames).frame_length() as usize;
            let (frame, rest) = frames.split_at_mut(length);
            self.segment.seed.seal(frame, offset, sequence, self.durable_end, following);
            offset += length as u64;
            frames = rest;
        }
    }

    /// Writes a run, and leaves it empty.
    fn write(&mut self, run: &mut Run, buffer: &mut [u8]) {
        let Run { bytes, requests, count } = std::mem::take(run);
        run.bytes = bytes.end..bytes.end;
        let frames = &mut buffer[bytes];
        if !frames.is_empty()
            && let Err(error) = self.write_frames(frames, count).or_else(|error| self.write_in_next(frames, &requests, error))
        {
            for request in requests {
                match request.count {
                    // A sync is concerned with what was written before.
                    0 => self.unsynced.push((request.promise, self.next)),
                    _ => self.answer(request, Err(error.clone())),
                }
            }
            return;
        }
        let mut sequence = self.next - count;
        for request in requests {
            let first = sequence;
            sequence += u64::from(request.count);
            if request.durable {
                self.shared.requested().fetch_sub(request.bytes as u64, Ordering::Relaxed);
                self.unsynced.push((request.promise, first));
            } else {
                self.answer(request, Ok(first));
            }
        }
    }

    fn write_frames(&mut self, frames: &[u8], count: u64) -> Result<()> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure.clone());
        }
        if let Err(error) = write_all_at(&*self.file, frames, self.end) {
            return Err(self.cut_back(LogError::io("append", &self.segment.path, error)));
        }
        let (mut offset, mut sequence) = (self.end, self.next);
        let mut rest = frames;
        self.segment.note(std::iter::from_fn(|| {
            let noted = (!rest.is_empty()).then_some((sequence, offset))?;
            let length = EntryHeader::decode(rest).frame_length();
            rest = &rest[length as usize..];
            offset += length;
            sequence += 1;
            Some(noted)
        }));
        self.advance(frames.len() as u64, count);
        self.fill(frames.len() as u64);
        Ok(())
    }

    /// Writes what a full disk had no room for in the next segment, if nothing of this one is needed any more: dropping it makes room.
    fn write_in_next(&mut self, frames: &mut [u8], requests: &[Request], error: LogError) -> Result<()> {
        if error.kind() != LogErrorKind::DiskFull || !self.shared.is_used_up() {
            return Err(error);
        }
        self.rotate()?;
        let mut run = Run::default();
        for request in requests {
            let bytes = run.bytes.end..run.bytes.end + request.bytes;
            self.seal(&run, &mut frames[bytes.clone()], request.count);
            run.bytes.end = bytes.end;
            run.count += u64::from(request.count);
        }
        self.write_frames(frames, run.count)
    }

    fn advance(&mut self, bytes: u64, count: u64) {
        self.end += bytes;
        self.next += count;
        self.length = self.length.max(self.end);
        self.is_changed = true;
        self.shared.add_used(bytes);
        self.segment.publish(self.next, self.end);
    }

    /// Takes out of the file what a failed write left there, so that nobody finds what was answered with an error.
    fn cut_back(&mut self, error: LogError) -> LogError {
        match self.file.set_len(self.end).and_then(|()| self.file.sync()) {
            Ok(()) => {
                self.length = self.end;
                error
            }
            Err(source) => self.stop(source),
        }
    }

    /// Writes zeros ahead, once in a while.
    fn fill(&mut self, written: u64) {
        let ahead = self.shared.config.fill_bytes;
        let target = (self.end + ahead).min(self.shared.config.segment_bytes);
        // Zeros would double the bytes of a large write for few that come after it.
        let is_worth_it = self.end == self.length && target > self.end && written * 4 <= ahead && !self.fill_failed;
        if !is_worth_it || !self.shared.has_room(target - self.end) {
            return;
        }
        let zeros = vec![0; (target - self.end) as usize];
        match write_all_at(&*self.file, &zeros, self.end) {
            Ok(()) => self.length = target,
            Err(_) => {
                self.fill_failed = true;
                self.length = target;
                // Zeros do no harm where they stay.
                let _ = self.trim();
            }
        }
    }

    /// Ends the file where the entries end.
    fn trim(&mut self) -> Result<()> {
        if self.length > self.end {
            self.file.set_len(self.end).map_err(|error| LogError::io("end the segment", &self.segment.path, error))?;
            self.length = self.end;
            self.is_changed = true;
        }
        Ok(())
    }

    /// Makes all that is written durable, and tells who waits for it.
    fn sync(&mut self) -> Result<()> {
        let result = if let Some(failure) = self.shared.failure() {
            Err(failure.clone())
        } else if !self.is_changed {
            Ok(())
        } else {
            let begin = Instant::now();
            let result = self.file.sync().map_err(|source| self.stop(source));
            self.last_sync = begin.elapsed();
            result
        };
        if result.is_ok() {
            self.is_changed = false;
            self.durable_end = self.end;
            self.durable_next = self.next;
            self.shared.set_durable(self.next - 1);
        }
        // Counted before anybody is told and appends again.
        self.queued = self.shared.queue.len();
        // Nobody runs before the whole group is answered: who waits for several wakes up once.
        self.wakers.extend(self.unsynced.drain(..).filter_map(|(promise, sequence)| promise.settle(result.clone().map(|()| sequence))));
        self.wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// Stops for good after a failed sync.
    fn stop(&mut self, source: std::io::Error) -> LogError {
        let error = self.shared.fail(LogError::sync_failed(&self.segment.path, source));
        self.segment.withdraw(self.durable_next, self.durable_end);
        error
    }

    /// Finishes the segment and begins the next.
    fn rotate(&mut self) -> Result<()> {
        self.trim()?;
        self.sync()?;
        let (segment, file) = create_segment(&self.shared, &self.id, self.next)?;
        self.shared.add_segment(Arc::clone(&segment));
        self.segment = segment;
        self.file = file;
        self.end = SEGMENT_HEADER;
        self.durable_end = SEGMENT_HEADER;
        self.length = SEGMENT_HEADER;
        self.witnessed = SEGMENT_HEADER;
        self.fill_failed = false;
        if let Err(error) = self.shared.drop_released() {
            tracing::warn!(%error, "a released segment stays");
        }
        reserve_segment(&self.shared);
        Ok(())
    }

    /// Says in the file that all before is durable. The next entries would say it too; until they come, a damaged last group could be taken for one that was never finished.
    fn witness(&mut self) {
        let bytes = ENTRY_HEADER as u64;
        let is_needed = self.witnessed < self.end && self.durable_end == self.end && self.shared.failure().is_none();
        if !is_needed || self.end + bytes > self.shared.config.segment_bytes || !self.shared.has_room(bytes) {
            self.witnessed = self.end;
            return;
        }
        let witness = self.segment.seed.witness(self.end, self.next, self.durable_end);
        if write_all_at(&*self.file, &witness, self.end).is_ok() {
            self.advance(bytes, 0);
        } else {
            // What is left of it is no entry; the next one is written over it, or it is trimmed.
            self.length = self.length.max(self.end + bytes);
        }
        self.witnessed = self.end;
    }

    fn close(mut self) -> Result<()> {
        self.sync()?;
        self.witness();
        self.trim()?;
        self.sync()?;
        give_reserve_back(&self.shared);
        Ok(())
    }

    fn answer(&self, request: Request, result: Result<u64>) {
        self.shared.requested().fetch_sub(request.bytes as u64, Ordering::Relaxed);
        request.promise.complete(result);
    }
}

/// The answer where the log's own limit is reached.
pub(crate) fn full(shared: &Shared) -> LogError {
    let what = format!("{} of {} bytes are in use", shared.used(), shared.config.max_bytes.unwrap_or(u64::MAX));
    LogError::new(LogErrorKind::Full, what)
        .with_hint("release entries that are no longer needed, or raise max_bytes; nothing was appended, and it can be tried again")
        .with_path(&shared.directory)
}

struct Abandon<'a>(&'a Shared);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
