//! The single types that a key is made of.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::Hash;

use uuid::Uuid;

use super::{AsKey, Key, text};
use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// A type that can be one part of a key.
///
/// ```
/// use store_core::KeyPart;
///
/// let mut text = String::new();
/// String::from("a:b").write_part(&mut text);
/// assert_eq!(text, "a%3Ab");
/// assert_eq!(String::read_part(&text)?, "a:b");
/// assert!(0_i64.is_empty_part());
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a primary key",
    note = "strings, `Uuid`, integers from `i8` to `u64` and `Timestamp` can"
)]
pub trait KeyPart: Scalar + Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// Whether this is `""`, `0` or the nil UUID.
    fn is_empty_part(&self) -> bool;

    /// Writes the escaped text form.
    fn write_part(&self, output: &mut String);

    /// Reads the escaped text form.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](ErrorKind::DecodeFailed) if the text is not of this type.
    fn read_part(text: &str) -> Result<Self>;
}

fn not_a_part(wanted: &str) -> Error {
    Error::new(ErrorKind::DecodeFailed, format!("a part of the key's text form is not {wanted}"))
}

impl KeyPart for String {
    fn is_empty_part(&self) -> bool {
        self.is_empty()
    }

    fn write_part(&self, output: &mut String) {
        // Writing to a String cannot fail.
        let _ = text::escape(self, output);
    }

    fn read_part(text: &str) -> Result<Self> {
        text::unescape(text).ok_or_else(|| not_a_part("escaped text"))
    }
}

impl Key for String {
    type Borrowed = str;
    const PARTS: usize = 1;

    fn to_values(key: &str) -> Result<Vec<Value<'_>>> {
        Ok(vec![Value::Text(Cow::Borrowed(key))])
    }

    fn from_values(values: Vec<Value<'static>>) -> Result<Self> {
        one(values).and_then(Scalar::from_value)
    }

    fn is_empty(key: &str) -> bool {
        key.is_empty()
    }

    fn write_text(key: &str, output: &mut String) {
        let _ = text::escape(key, output);
    }

    fn from_text(text: &str) -> Result<Self> {
        Self::read_part(text)
    }
}

impl AsKey<String> for str {
    fn as_key(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl AsKey<String> for String {
    fn as_key(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

fn one(values: Vec<Value<'static>>) -> Result<Value<'static>> {
    let count = values.len();
    match <[Value<'static>; 1]>::try_from(values) {
        Ok([value]) => Ok(value),
        Err(_) => Err(Error::new(ErrorKind::DecodeFailed, format!("the key has one column, {count} values were given"))),
    }
}

macro_rules! itself_borrowed {
    ($type:ty) => {
        impl Key for $type {
            type Borrowed = $type;
            const PARTS: usize = 1;

            fn to_values(key: &$type) -> Result<Vec<Value<'_>>> {
                Ok(vec![Scalar::to_value(key)?])
            }

            fn from_values(values: Vec<Value<'static>>) -> Result<Self> {
                one(values).and_then(Scalar::from_value)
            }

            fn is_empty(key: &$type) -> bool {
                key.is_empty_part()
            }

            fn write_text(key: &$type, output: &mut String) {
                key.write_part(output);
            }

            fn from_text(text: &str) -> Result<Self> {
                Self::read_part(text)
            }
        }

        impl AsKey<$type> for $type {
            fn as_key(&self) -> Cow<'_, $type> {
                Cow::Borrowed(self)
            }
        }
    };
}

macro_rules! integer_part {
    ($($type:ty),*) => {$(
        impl KeyPart for $type {
            fn is_empty_part(&self) -> bool {
                *self == 0
            }

            fn write_part(&self, output: &mut String) {
                output.push_str(&self.to_string());
            }

            fn read_part(text: &str) -> Result<Self> {
                // Only the canonical form: "+7" and "007" would give one key two texts.
                text.parse::<$type>()
                    .ok()
                    .filter(|number| number.to_string() == text)
                    .ok_or_else(|| not_a_part(concat!("an integer of type ", stringify!($type))))
            }
        }

        itself_borrowed!($type);
    )*};
}
integer_part!(i8, i16, i32, i64, u8, u16, u32, u64);

impl KeyPart for Uuid {
    fn is_empty_part(&self) -> bool {
        self.is_nil()
    }

    fn write_part(&self, output: &mut String) {
        output.push_str(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    fn read_part(text: &str) -> Result<Self> {
        Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text).ok_or_else(|| not_a_part("a hyphenated lower-case UUID"))
    }
}

itself_borrowed!(Uuid);

/// Microseconds. Finer times are no keys, as the database would cut them off.
impl KeyPart for Timestamp {
    fn is_empty_part(&self) -> bool {
        self.as_microseconds() == 0
    }

    fn write_part(&self, output: &mut String) {
        self.as_microseconds().write_part(output);
    }

    fn read_part(text: &str) -> Result<Self> {
        Timestamp::from_microseconds(i64::read_part(text)?).map_err(|_| not_a_part("a time in microseconds since 1970"))
    }
}

itself_borrowed!(Timestamp);
