//! What becomes of memory's entry of a key when something newer, or older, comes.

use crate::facet::LogKind;
use crate::version::Version;

/// Whether a loaded record may take the entry's place, once its fence stands: another load may have brought a newer one meanwhile.
pub(crate) fn takes_load(present: Option<Version>, loaded: Version) -> bool {
    present.is_none_or(|present| present <= loaded)
}

/// Whether a written record may take the entry's place: nothing else touched the key since the write began, and no newer one is there.
/// Otherwise the entry leaves. A newer one leaves too: it may be from before a restore of the truth, which issues smaller versions again.
pub(crate) fn takes_write(present: Option<Version>, written: Version, undisturbed: bool) -> bool {
    undisturbed && present.is_none_or(|present| present <= written)
}

/// Whether the entry stays when the instance hears of a commit, because it is at least as new as the write that was heard of.
/// What was heard of a deletion or an invalidation holds whatever the versions say.
pub(crate) fn outlasts(present: Option<Version>, kind: LogKind, heard: Option<Version>) -> bool {
    kind == LogKind::Put && heard.is_some_and(|heard| present.is_some_and(|present| present >= heard))
}
