use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::error::{LogError, is_disk_full};
use crate::files::{File, write_all_at};
use crate::format::{self, LogId, SEGMENT_HEADER, Seed, SegmentHeader};
use crate::scan::Scan;
use crate::segment::Segment;
use crate::shared::Shared;

/// The name of a segment that is not finished, or not begun. It gets its own name when its header is durable, so that no crash leaves a segment without one.
pub(crate) const UNFINISHED: &str = "new-segment";

/// Creates the segment that begins with `first`, durably.
pub(crate) fn create_segment(shared: &Shared, id: &LogId, first: u64) -> Result<(Arc<Segment>, Arc<dyn File>)> {
    let unfinished = shared.directory.join(UNFINISHED);
    let path = shared.directory.join(format::segment_name(first));
    let created = write_header(shared, &unfinished, id, first).and_then(|file| {
        shared.files.rename(&unfinished, &path).map_err(|error| LogError::io("name the new segment", &path, error)).map(|()| file)
    });
    let file = created.inspect_err(|_| reserve_segment(shared))?;
    shared.sync_directory()?;
    Ok((Arc::new(Segment::new(path, Seed::new(id, first), first, Scan::new(first))), file))
}

/// Takes the room of the next segment's header, if there is some: a full disk must not keep the log from the new segment which lets it give the old one's room back.
pub(crate) fn reserve_segment(shared: &Shared) {
    let path = shared.directory.join(UNFINISHED);
    let reserved = shared.files.create(&path).and_then(|file| write_all_at(&*file, &[0; SEGMENT_HEADER as usize], 0));
    if reserved.is_err() {
        give_reserve_back(shared);
    }
}

/// Gives the room of a next segment back.
pub(crate) fn give_reserve_back(shared: &Shared) {
    // What cannot be removed is removed by the next opening.
    let _ = shared.files.remove(&shared.directory.join(UNFINISHED));
}

fn write_header(shared: &Shared, path: &Path, id: &LogId, first: u64) -> Result<Arc<dyn File>> {
    // What is there is no longer than a header.
    let file = shared.files.open(path).or_else(|_| shared.files.create(path));
    let file = file.map_err(|error| LogError::io("create a segment", path, error))?;
    let header = SegmentHeader { id: *id, first }.encode();
    write_all_at(&*file, &header, 0).map_err(|error| LogError::io("write the header of a segment", path, error))?;
    match file.sync() {
        Ok(()) => Ok(file),
        // Some file systems look for room only now. Nothing but the header is lost.
        Err(error) if is_disk_full(&error) => Err(LogError::io("sync the header of a segment", path, error)),
        Err(error) => Err(shared.fail(LogError::sync_failed(path, error))),
    }
}
