//! The escaping that keeps the text forms of different keys apart.

use std::fmt::Write;

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
    fn tuples_that_differ_only_in_where_a_colon_stands_stay_apart() {
        let left = (String::from("a:b"), String::from("c")).to_text();
        let right = (String::from("a"), String::from("b:c")).to_text();
        assert_ne!(left, right);
        assert!(<(String, String)>::from_text("a:b:c").is_err());
        assert!(<(String, String)>::from_text("a").is_err());
        assert!(i64::from_text("007").is_err());
    }
}
