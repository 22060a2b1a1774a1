use crate::error::{LogError, LogErrorKind};
use crate::format;

/// How a log uses its disk.
///
/// ```
/// use store_log::LogConfig;
///
/// let config = LogConfig::default().with_segment_bytes(4 << 20).with_max_bytes(Some(64 << 20));
/// assert_eq!(config.segment_bytes, 4 << 20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// The most bytes of one segment file, and so of one entry or batch with its headers. Default: 64 MiB. At least 256 bytes, below 4 GiB.
    ///
    /// Segments are dropped whole, so smaller ones give room back sooner.
    pub segment_bytes: u64,
    /// The most bytes of all segments together. Default: 1 GiB. At least twice `segment_bytes`, so that a log whose entries are all released always has room. `None`: as
    /// many as the disk holds.
    pub max_bytes: Option<u64>,
    /// How far ahead of the entries the segment that is written is filled with zeros, in bytes. Default: 1 MiB. 0: not at all.
    ///
    /// A sync that finds its blocks allocated and the file's length unchanged has no metadata to write, which on ext4 makes it almost twice as fast.
    pub fill_bytes: u64,
    /// Up to which sequence damaged entries may be skipped when the log is opened: because nobody needs them any more, or because they are given up. What follows them is kept,
    /// where a whole entry with its own checksum proves where it begins, and nothing behind this sequence is missing before it. Default: `None`, which skips nothing.
    pub skip_damage_up_to: Option<u64>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, max_bytes: Some(1 << 30), fill_bytes: 1 << 20, skip_damage_up_to: None }
    }
}

impl LogConfig {
    /// Sets [`segment_bytes`](Self::segment_bytes).
    #[must_use]
    pub fn with_segment_bytes(self, segment_bytes: u64) -> Self {
        Self { segment_bytes, ..self }
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: Option<u64>) -> Self {
        Self { max_bytes, ..self }
    }

    /// Sets [`fill_bytes`](Self::fill_bytes).
    #[must_use]
    pub fn with_fill_bytes(self, fill_bytes: u64) -> Self {
        Self { fill_bytes, ..self }
    }

    /// Sets [`skip_damage_up_to`](Self::skip_damage_up_to).
    #[must_use]
    pub fn with_skip_damage_up_to(self, skip_damage_up_to: Option<u64>) -> Self {
        Self { skip_damage_up_to, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let segment = self.segment_bytes;
        if !(256..=u64::from(u32::MAX)).contains(&segment) {
            let what = format!("segment_bytes is {segment}");
            return Err(LogError::new(LogErrorKind::InvalidConfig, what).with_hint("choose at least 256 and less than 4 GiB"));
        }
        match self.max_bytes {
            Some(max) if max / 2 < segment => {
                let what = format!("max_bytes is {max}, less than two segments of {segment} bytes");
                Err(LogError::new(LogErrorKind::InvalidConfig, what).with_hint("raise max_bytes or lower segment_bytes"))
            }
            _ => Ok(()),
        }
    }

    /// The most bytes of one batch, its entries' headers included.
    pub(crate) fn largest_batch(&self) -> u64 {
        self.segment_bytes - format::SEGMENT_HEADER
    }
}
