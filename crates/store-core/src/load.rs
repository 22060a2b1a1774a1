//! What a loader is given, and what it answers.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::record::Record;

/// Why a loader failed: any error, or a text.
pub type LoadError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a loader of one key answers.
pub type LoadResult<T> = std::result::Result<Load<T>, LoadError>;

/// The last known value of a key, which a loader is given: one whose life time is over, or nearly so. It dereferences to the model.
///
/// ```
/// use store_core::{Known, Load};
/// # #[derive(Debug)] #[expect(dead_code, reason = "an example")] struct Page { body: String }
///
/// /// Asks a server for a page, unless it is still the one that it called `tag`.
/// async fn fetch(tag: Option<&str>) -> std::io::Result<Option<(Page, String)>> {
/// #   let _ = tag;
/// #   Ok(None)
/// }
///
/// async fn load(known: Option<Known<Page>>) -> std::io::Result<Load<Page>> {
///     Ok(match fetch(known.as_ref().and_then(Known::source_tag)).await? {
///         Some((page, tag)) => Load::value(page).source_tag(tag),
///         None => Load::not_modified(),
///     })
/// }
/// # let _ = load;
/// ```
pub struct Known<T> {
    record: Record<T>,
}

impl<T> Known<T> {
    pub(crate) fn new(record: Record<T>) -> Self {
        Known { record }
    }

    /// The model, without the columns that memory leaves out.
    pub fn model(&self) -> &Arc<T> {
        self.record.model()
    }

    /// The source's own mark of this content ([`Load::source_tag`]), such as an ETag.
    pub fn source_tag(&self) -> Option<&str> {
        self.record.notes()?.source_tag.as_deref()
    }
}

impl<T> Deref for Known<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.record.model()
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Known { record: self.record.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("model", self.model()).field("source_tag", &self.source_tag()).finish()
    }
}

/// What a loader says of one key.
///
/// A model is kept as it is: its key must be the one that was asked for, and its stamps (`auto_now`) are the loader's own.
///
/// ```
/// use std::time::Duration;
/// use store_core::Load;
/// # #[derive(Debug)] #[expect(dead_code, reason = "an example")] struct Page { body: String }
///
/// // For a minute, and for as long again to be compared with what the source has by then.
/// let fresh = Load::value(Page { body: "…".into() }).source_tag("\"33a64df5\"").ttl(Duration::from_secs(60)).tags(["front"]);
/// // Still the known one.
/// let same = Load::<Page>::not_modified();
/// // For the callers who are waiting, and for nobody else.
/// let private = Load::value(Page { body: "…".into() }).do_not_keep();
/// // There is none, and nobody needs to ask again for a while.
/// let missing = Load::<Page>::absent().ttl(Duration::from_secs(5));
/// # let _ = (fresh, same, private, missing);
/// ```
#[must_use]
pub struct Load<T> {
    pub(crate) content: Content<T>,
    pub(crate) source_tag: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) is_kept: bool,
}

pub(crate) enum Content<T> {
    Value(Arc<T>),
    NotModified,
    Absent,
}

impl<T> Load<T> {
    fn new(content: Content<T>) -> Self {
        Load { content, source_tag: None, ttl: None, tags: None, is_kept: true }
    }

    /// The value of the key.
    pub fn value(model: impl Into<Arc<T>>) -> Self {
        Self::new(Content::Value(model.into()))
    }

    /// The [known](Known) value is still the source's. It lives for as long again as it was to live, and keeps its source tag and its tags, unless this answer
    /// says otherwise. Where no value was known, it is an error.
    pub fn not_modified() -> Self {
        Self::new(Content::NotModified)
    }

    /// The source has no value of the key: the callers get `None`. It is remembered for the [`ttl`](Self::ttl) given here, without one for
    /// [`negative_ttl`](crate::Settings::negative_ttl), and without that not at all.
    pub fn absent() -> Self {
        Self::new(Content::Absent)
    }

    /// How long the answer lives, in place of the schema's life time in the tier that is its truth. It is not [jittered](crate::Settings::jitter). What lives
    /// for no time at all is answered and not kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The source's own mark of this content, such as an ETag, which the next loader of the key is [given](Known::source_tag). A value that has one is kept
    /// beyond its end for as long again, at most a day, so that there is a next loader that knows it.
    pub fn source_tag(mut self, tag: impl Into<String>) -> Self {
        self.source_tag = Some(tag.into());
        self
    }

    /// The tags of the value. One that holds a NUL character fails the load as [`LoadFailed`](crate::ErrorKind::LoadFailed).
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        let mut seen = HashSet::new();
        self.tags = Some(tags.into_iter().map(Into::into).filter(|tag: &String| seen.insert(tag.clone())).collect());
        self
    }

    /// Answers those who wait for this load, and keeps nothing in any tier: what was known before leaves as well.
    pub fn do_not_keep(mut self) -> Self {
        self.is_kept = false;
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Load<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content: &dyn fmt::Debug = match &self.content {
            Content::Value(model) => model,
            Content::NotModified => &"not modified",
            Content::Absent => &"absent",
        };
        f.debug_struct("Load")
            .field("content", content)
            .field("source_tag", &self.source_tag)
            .field("ttl", &self.ttl)
            .field("tags", &self.tags)
            .field("is_kept", &self.is_kept)
            .finish()
    }
}
