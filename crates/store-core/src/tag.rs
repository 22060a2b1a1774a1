//! Tags: names under which copies of records can be dropped together.

use std::borrow::Cow;
use std::sync::Arc;

use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::notes::Notes;
use crate::query::ColumnName;
use crate::schema::{Schema, SchemaDefinition};
use crate::value::Value;

/// A tag, under which the cached copies of many records can be dropped at once: see [`Collection::invalidate_tag`](crate::Collection::invalidate_tag).
///
/// A field with `#[schema(tag)]` gives each record the tag `{column}={value}`, and none where it is NULL; [`Column::tag`](crate::Column::tag) builds it. The
/// value stands there as it is: text unchanged, integers in decimal, `true` or `false`, UUIDs with hyphens. Any other text is a tag too, for
/// [`Collection::with_tags`](crate::Collection::with_tags).
///
/// ```
/// use store_core::Tag;
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
///     #[schema(tag)]
///     region: Option<String>,
/// }
///
/// let european = Player::region().tag("eu-west");
/// assert_eq!(european.to_string(), "region=eu-west");
/// assert_eq!(Tag::from("front-page").to_string(), "front-page");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    text: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Text,
    Column(ColumnName),
    /// Why a value gives no tag.
    Invalid(String),
}

impl Tag {
    pub(crate) fn of_column(column: ColumnName, value: Result<Value<'static>>) -> Self {
        let (text, source) = match value.as_ref().map(value_text) {
            Ok(Some(value)) => (column_tag(&column, &value), Source::Column(column)),
            Ok(None) => {
                let reason = "tags are made of text, integers, booleans and UUIDs";
                (column_tag(&column, ""), Source::Invalid(reason.to_owned()))
            }
            Err(error) => (column_tag(&column, ""), Source::Invalid(error.to_string())),
        };
        Tag { text, source }
    }

    /// The tag's text, if records of this schema may have it.
    pub(crate) fn of_schema(self, schema: &SchemaDefinition) -> Result<String> {
        let refused = match &self.source {
            Source::Invalid(reason) => Some((ErrorKind::InvalidValue, reason.clone())),
            Source::Column(column) => not_a_tag(column, schema).map(|reason| (ErrorKind::InvalidQuery, reason)),
            Source::Text => None,
        };
        if let Some((kind, reason)) = refused {
            return Err(Error::new(kind, format!("`{}` is no tag here: {reason}", self.text.escape_debug())));
        }
        check_text(&self.text)?;
        Ok(self.text)
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Tag {
    fn from(text: String) -> Self {
        Tag { text, source: Source::Text }
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        Tag::from(text.to_owned())
    }
}

impl From<&String> for Tag {
    fn from(text: &String) -> Self {
        Tag::from(text.as_str())
    }
}

/// Refuses a text that no tag has.
fn check_text(text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidValue, format!("`{}` is no tag: a tag holds no NUL character", text.escape_debug())));
    }
    Ok(())
}

/// Why a column gives no tags in a schema.
fn not_a_tag(column: &ColumnName, schema: &SchemaDefinition) -> Option<String> {
    match column.position_in(schema) {
        Ok(position) if schema.columns()[position].is_tag => None,
        Ok(_) => Some(format!("put `#[schema(tag)]` on the field `{column}`")),
        Err(reason) => Some(reason),
    }
}

/// The tag that a column's value gives.
fn column_tag(column: &str, value: &str) -> String {
    format!("{column}={value}")
}

/// The tag that a column gives a record with this value; `None` for NULL.
pub(crate) fn of_value(column: &str, value: &Value<'_>) -> Option<String> {
    value_text(value).map(|value| column_tag(column, &value))
}

fn value_text<'a>(value: &'a Value<'_>) -> Option<Cow<'a, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Integer(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Uuid(uuid) => Some(Cow::Owned(uuid.hyphenated().to_string())),
        _ => None,
    }
}

impl<T: Schema> Collection<T> {
    /// The same records, whose copies get these tags too: what its reads are answered from, in memory and in the shared tier, and what its writes leave there.
    ///
    /// A copy that lacks one of the tags answers no read of this collection: the record is brought anew, and the copies have the new tags beside those that they
    /// had. So [`invalidate_tag`](Self::invalidate_tag) drops what a read was answered from, and a later read shows nothing that was loaded before. Reads that give
    /// no tags cost what they did. Where a record is answered in place of an error ([`stale_on_error`](crate::Settings::stale_on_error)), a copy may lack the tag, and is
    /// left without it.
    ///
    /// The truth does not know these tags. A write leaves those of the collection that writes, and a copy that is made where there was none has those of the
    /// collection that reads. Where every reader should heed a tag, put [`#[schema(tag)]`](Tag) on a field. A search gives its tags to what it brings into
    /// memory.
    ///
    /// A tag holds no NUL character. With one that does, every call that would give or heed the tags fails as [`InvalidValue`](ErrorKind::InvalidValue).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let shown = cities.with_tags(["front-page"]);
    /// let lima = shown.get(7).await?;
    /// // And once the front page is to be made anew:
    /// cities.invalidate_tag("front-page").await?;
    /// # let _ = lima; Ok(()) } let _ = example;
    /// ```
    #[must_use]
    pub fn with_tags<G: Into<String>>(&self, tags: impl IntoIterator<Item = G>) -> Self {
        let mut collection = self.clone();
        collection.tags = CallTags::new(tags.into_iter().map(Into::into).chain(self.tags.iter().cloned()));
        collection
    }

    /// Drops the copies that have a tag, on every instance and in the shared tier; all others stay. The truth keeps the records, and the next reads bring them
    /// back. It costs one row of the log, however many copies there are.
    ///
    /// The schema decides whose tag it is: records of other schemas may have one of the same name. Of a `cache_only` schema, what was written to the shared tier
    /// or to memory is the truth and stays; only copies of it, and records that were loaded, are dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery) for a column that is not declared `#[schema(tag)]`, [`InvalidValue`](ErrorKind::InvalidValue) for a value that
    /// makes no tag. [`L3Unavailable`](ErrorKind::L3Unavailable) or [`Timeout`](ErrorKind::Timeout) if it could not be written to the log, from which the other
    /// instances and the shared tier learn of it; this instance has dropped its copies all the same.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: String, #[schema(tag)] region: String }
    /// # async fn example(players: store_core::Collection<Player>) -> store_core::Result<()> {
    /// players.invalidate_tag(Player::region().tag("eu-west")).await?;
    /// players.invalidate_tag("region=eu-west").await?; // The same.
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn invalidate_tag(&self, tag: impl Into<Tag>) -> Result<()> {
        let pipeline = self.pipeline();
        pipeline.call("invalidate_tag", pipeline.within_write_limit(pipeline.invalidate_tag(tag.into()))).await
    }
}

/// The tags that a collection gives what its calls cache, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct CallTags(Option<Arc<[String]>>);

impl CallTags {
    pub(crate) fn new(tags: impl IntoIterator<Item = String>) -> Self {
        let mut tags: Vec<String> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        CallTags((!tags.is_empty()).then(|| tags.into()))
    }

    /// Refuses what is no tag.
    pub(crate) fn check(&self) -> Result<()> {
        self.iter().try_for_each(|tag| check_text(tag))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether a copy with these notes has all of them.
    pub(crate) fn are_in(&self, notes: Option<&Notes>) -> bool {
        self.is_empty() || notes.is_some_and(|notes| self.iter().all(|tag| notes.tags.contains(tag)))
    }

    /// These, and others.
    pub(crate) fn with(&self, others: &CallTags) -> Self {
        match (self.is_empty(), others.is_empty()) {
            (_, true) => self.clone(),
            (true, _) => others.clone(),
            (false, false) => CallTags::new(self.iter().chain(others.iter()).cloned()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|tags| tags.iter())
    }
}
