//! The escaping that keeps the text forms of different keys apart.

use std::fmt::Write;

use crate::error::{Error, ErrorKind, Result};
use crate::value::Value;

/// The text form of the key with these column values: what [`Key::to_text`](super::Key::to_text) gives, for tiers, which know keys as values only.
///
/// # Errors
///
/// [`InvalidValue`](ErrorKind::InvalidValue) for a value that is no part of any key: only text, integers, UUIDs and times are.
///
/// ```
/// use store_core::{Value, key_text};
///
/// assert_eq!(key_text(&[Value::from("a:b"), Value::from(7)])?, "a%3Ab:7");
/// # Ok::<(), store_core::Error>(())
/// ```
pub fn key_text(key: &[Value<'_>]) -> Result<String> {
    let mut output = String::new();
    for (position, part) in key.iter().enumerate() {
        if position > 0 {
            output.push(':');
        }
        match part {
            Value::Text(text) => escape(text, &mut output),
            // Writing to a String cannot fail.
            Value::Integer(number) => drop(write!(output, "{number}")),
            Value::Time(time) => drop(write!(output, "{}", time.as_microseconds())),
            Value::Uuid(uuid) => drop(write!(output, "{}", uuid.hyphenated())),
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    format!("a key is made of text, integers, UUIDs and times, not {}", other.kind()),
                ));
            }
        }
    }
    Ok(output)
}

/// Writes `text` with `%`, `:` and control characters as `%XX`.
pub(super) fn escape(text: &str, output: &mut String) {
    for character in text.chars() {
        if matches!(character, '%' | ':') || character.is_ascii_control() {
            // Writing to a String cannot fail.
            let _ = write!(output, "%{:02X}", u32::from(character));
        } else {
            output.push(character);
        }
    }
}

/// Reads what [`escape`] wrote; `None` for anything that it would not have written.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('%') {
        output.push_str(&rest[..position]);
        let code = rest.get(position + 1..position + 3)?;
        output.push(char::from(u8::from_str_radix(code, 16).ok()?));
        rest = &rest[position + 3..];
    }
    output.push_str(rest);
    let mut canonical = String::with_capacity(text.len());
    escape(&output, &mut canonical);
    (canonical == text).then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn escaping_is_undone_and_only_the_canonical_form_is_read() {
        for text in ["", "a", "a:b", "100%", "%3A", "é:ü", "line\nbreak", "\u{7f}"] {
            let mut escaped = String::new();
            escape(text, &mut escaped);
            assert!(!escaped.contains(':'));
            assert_eq!(unescape(&escaped).as_deref(), Some(text));
        }
        for foreign in ["%", "%3", "%3a", "%41", "a:b", "%é1", "%+1"] {
            assert_eq!(unescape(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_key_has_the_same_text_by_its_values() {
        let key = (String::from("50%:é"), -7_i64, uuid::Uuid::from_u128(0xABC));
        assert_eq!(key_text(&<(String, i64, uuid::Uuid)>::to_values(&key).unwrap()).unwrap(), key.to_text());
        assert_eq!(key_text(&[Value::Null]).unwrap_err().kind(), ErrorKind::InvalidValue);
    }

    #[test]
    fn tuples_that_differ_only_in_where_a_colon_stands_stay_apart() {
        let left = (String::from("a:b"), String::from("c")).to_text();
        let right = (String::from("a"), String::from("b:c")).to_text();
        assert_ne!(left, right);
        assert!(<(String, String)>::from_text("a:b:c").is_err());
        assert!(<(String, String)>::from_text("a").is_err());
        assert!(i64::from_text("007").is_err());
    }
}
