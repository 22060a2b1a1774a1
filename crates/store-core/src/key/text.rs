//! The escaping that keeps the text forms of different keys apart.

use std::fmt::{self, Write};

use uuid::Uuid;

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
    match write_key(key.iter(), &mut output) {
        Ok(()) => Ok(output),
        // Writing to a String cannot fail.
        Err(_) => {
            let other = key.iter().find(|part| !is_part(part)).map_or("these", Value::kind);
            Err(Error::new(ErrorKind::InvalidValue, format!("a key is made of text, integers, UUIDs and times, not {other}")))
        }
    }
}

/// Whether a text is what [`key_text`] gives for the key with these column values. It allocates nothing.
pub(crate) fn is_key_text<'a, 'v: 'a>(text: &str, key: impl Iterator<Item = &'a Value<'v>>) -> bool {
    /// What is left of the text, which whatever is written must begin.
    struct Rest<'a>(&'a str);

    impl Write for Rest<'_> {
        fn write_str(&mut self, written: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(written).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    let mut rest = Rest(text);
    write_key(key, &mut rest).is_ok() && rest.0.is_empty()
}

/// Fails at a value that is no part of any key, too.
fn write_key<'a, 'v: 'a>(key: impl Iterator<Item = &'a Value<'v>>, output: &mut impl Write) -> fmt::Result {
    for (position, part) in key.enumerate() {
        if position > 0 {
            output.write_char(':')?;
        }
        match part {
            Value::Text(text) => escape(text, output)?,
            Value::Integer(number) => write!(output, "{number}")?,
            Value::Time(time) => write!(output, "{}", time.as_microseconds())?,
            Value::Uuid(uuid) => output.write_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?,
            _ => return Err(fmt::Error),
        }
    }
    Ok(())
}

fn is_part(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::Integer(_) | Value::Time(_) | Value::Uuid(_))
}

/// Writes `text` with `%`, `:` and control characters as `%XX`.
pub(super) fn escape(text: &str, output: &mut impl Write) -> fmt::Result {
    let is_escaped = |character: char| matches!(character, '%' | ':') || character.is_ascii_control();
    let mut rest = text;
    while let Some((position, character)) = rest.char_indices().find(|(_, character)| is_escaped(*character)) {
        output.write_str(&rest[..position])?;
        write!(output, "%{:02X}", u32::from(character))?;
        // What is escaped is ASCII.
        rest = &rest[position + 1..];
    }
    output.write_str(rest)
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
    escape(&output, &mut canonical).ok()?;
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
            escape(text, &mut escaped).unwrap();
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
        let error = key_text(&[Value::from(1), Value::Null]).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidValue && error.to_string().contains("not NULL"), "{error}");
    }

    #[test]
    fn a_text_is_that_of_one_key_alone() {
        let uuid = Value::Uuid(uuid::Uuid::from_u128(0xABC));
        let key = [Value::from("50%:é"), Value::from(-7), uuid.clone()];
        let text = key_text(&key).unwrap();
        assert!(is_key_text(&text, key.iter()));
        for other in [
            vec![Value::from("50%:é"), Value::from(-7)],
            vec![Value::from("50%:é"), Value::from(-77), uuid.clone()],
            vec![Value::from("50%:"), Value::from(-7), uuid.clone()],
            vec![Value::from("50%:é"), Value::from(-7), uuid.clone(), Value::from("")],
            vec![Value::from("50%:é"), Value::from(-7), Value::Null],
        ] {
            assert!(!is_key_text(&text, other.iter()), "{other:?}");
        }
        assert!(!is_key_text(&format!("{text}0"), key.iter()));
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
