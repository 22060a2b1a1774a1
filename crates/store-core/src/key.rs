//! Primary keys: what may be one, how it is looked up, and its text form.

mod part;
mod text;
mod tuple;

pub use part::KeyPart;
pub(crate) use text::is_key_text;
pub use text::key_text;

use std::borrow::{Borrow, Cow};
use std::fmt::Debug;
use std::hash::Hash;

use crate::error::Result;
use crate::value::Value;

/// A primary key: a string, an integer, a UUID, or a tuple of two to four of them.
///
/// The text form joins the parts with `:`, each escaped so that different keys never share one: `("a:b", "c")` is `a%3Ab:c`.
///
/// ```
/// use store_core::Key;
///
/// let key = (String::from("a:b"), 7_i64);
/// assert_eq!(key.to_text(), "a%3Ab:7");
/// assert_eq!(<(String, i64)>::from_text("a%3Ab:7")?, key);
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a primary key",
    note = "strings, `Uuid`, integers from `i8` to `u64`, and tuples of two to four of them can"
)]
pub trait Key: Clone + Eq + Hash + Debug + Send + Sync + Borrow<Self::Borrowed> + 'static {
    /// The form that a lookup borrows: `str` for `String`, the key itself for the others.
    type Borrowed: ?Sized + Eq + Hash + Debug + ToOwned<Owned = Self> + Sync;

    /// The number of key columns.
    const PARTS: usize;

    /// The key columns' values, in order.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) for an integer above `i64::MAX`.
    fn to_values(key: &Self::Borrowed) -> Result<Vec<Value<'_>>>;

    /// The key for its columns' values.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](crate::ErrorKind::DecodeFailed) if the values are not this key's.
    fn from_values(values: Vec<Value<'static>>) -> Result<Self>;

    /// Whether the key, or a part of it, is `""`, `0` or the nil UUID.
    fn is_empty(key: &Self::Borrowed) -> bool;

    /// Writes the text form behind what `output` holds.
    fn write_text(key: &Self::Borrowed, output: &mut String);

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](crate::ErrorKind::DecodeFailed) if the text is not one of this key's type.
    fn from_text(text: &str) -> Result<Self>;

    /// The text form.
    fn to_text(&self) -> String {
        let mut output = String::new();
        Self::write_text(self.borrow(), &mut output);
        output
    }
}

/// What a lookup takes for a key of type `K`: the key, a reference to it, or a borrowed form such as `&str` for `String`.
///
/// ```
/// use store_core::AsKey;
///
/// fn owned(key: impl AsKey<(String, i64)>) -> (String, i64) {
///     key.as_key().into_owned()
/// }
/// assert_eq!(owned(("eu-west", 7)), owned((String::from("eu-west"), 7)));
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a key of this model", label = "the model's key is `{K}`")]
pub trait AsKey<K: Key> {
    /// The borrowed key; allocates only where the parts of a tuple are borrowed one by one.
    fn as_key(&self) -> Cow<'_, K::Borrowed>;
}

impl<K: Key, A: AsKey<K> + ?Sized> AsKey<K> for &A {
    fn as_key(&self) -> Cow<'_, K::Borrowed> {
        A::as_key(self)
    }
}
