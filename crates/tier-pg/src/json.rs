//! What `jsonb` cannot hold.

use serde::de::IgnoredAny;

/// `numeric`, in which `jsonb` keeps numbers, has at most so many digits before its point …
const MOST_DIGITS_BEFORE: i64 = 131_072;
/// … and so many after it.
const MOST_DIGITS_AFTER: i64 = 16_383;

/// Says why `jsonb` would refuse a document, if it would.
pub(crate) fn unstorable(text: &str) -> Option<&'static str> {
    check(text.as_bytes()).err().or_else(|| {
        let is_document = serde_json::from_str::<IgnoredAny>(text).is_ok();
        (!is_document).then_some("it is no well-formed JSON document")
    })
}

/// Looks for what is well-formed and refused all the same.
fn check(document: &[u8]) -> Result<(), &'static str> {
    let mut rest = document;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => string(rest)?,
            b'-' | b'0'..=b'9' => number(rest)?,
            _ => 1,
        };
        rest = &rest[length..];
    }
    Ok(())
}

/// The length of the string that `rest` begins with.
fn string(rest: &[u8]) -> Result<usize, &'static str> {
    let mut position = 1;
    let mut awaits_low_surrogate = false;
    loop {
        let unit = match rest.get(position..) {
            Some([b'\\', b'u', digits @ ..]) if digits.len() >= 4 => {
                position += 6;
                std::str::from_utf8(&digits[..4]).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())
            }
            Some([b'\\', _, ..]) => {
                position += 2;
                None
            }
            Some([first, ..]) => {
                position += 1;
                if *first == b'"' {
                    return if awaits_low_surrogate { Err(HALF_SURROGATE) } else { Ok(position) };
                }
                None
            }
            // Not well-formed.
            Some([]) | None => return Ok(rest.len()),
        };
        let is_low_surrogate = matches!(unit, Some(0xDC00..=0xDFFF));
        if unit == Some(0) {
            return Err("the JSON holds the escape \\u0000, which PostgreSQL's jsonb cannot hold; remove the character NUL");
        }
        if is_low_surrogate != awaits_low_surrogate {
            return Err(HALF_SURROGATE);
        }
        awaits_low_surrogate = matches!(unit, Some(0xD800..=0xDBFF));
    }
}

const HALF_SURROGATE: &str = "the JSON holds half of a surrogate pair, which PostgreSQL's jsonb cannot hold; write whole characters";

/// The length of the number that `rest` begins with.
fn number(rest: &[u8]) -> Result<usize, &'static str> {
    let digits_from = |start: usize| rest[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut position = usize::from(rest[0] == b'-');
    let whole = digits_from(position);
    position += whole;
    let mut fraction = 0;
    if rest.get(position) == Some(&b'.') {
        fraction = digits_from(position + 1);
        position += 1 + fraction;
    }
    let mut exponent = 0_i64;
    if matches!(rest.get(position), Some(b'e' | b'E')) {
        position += 1;
        let is_negative = rest.get(position) == Some(&b'-');
        position += usize::from(matches!(rest.get(position), Some(b'+' | b'-')));
        let digits = digits_from(position);
        for digit in &rest[position..position + digits] {
            exponent = exponent.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        }
        exponent = if is_negative { -exponent } else { exponent };
        position += digits;
    }
    let before = exponent.saturating_add(whole as i64);
    let after = (fraction as i64).saturating_sub(exponent);
    if before > MOST_DIGITS_BEFORE || after > MOST_DIGITS_AFTER {
        return Err("the JSON holds a number with more digits than PostgreSQL's jsonb keeps (131072 before the point, 16383 after it)");
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_refuses_is_found_wherever_it_stands() {
        for document in [
            r#""\u0000""#,
            r#"{"a\u0000":1}"#,
            r#"["\\\u0000"]"#,
            r#""\ud800""#,
            r#""\ud800x""#,
            r#""\ud800\n""#,
            r#""\ud800\ud800""#,
            r#""\udc00""#,
            "1e131072",
            "[1E+999999999999999999999]",
            "1e-16384",
            "-1.5e-16383",
            "",
            "[1] [2]",
            "{\"a\":",
            "\"unclosed",
            "\"unclosed\\",
            "\"\\u12",
            "-",
            "1e",
        ] {
            assert!(unstorable(document).is_some(), "{document}");
        }
    }

    #[test]
    fn what_jsonb_holds_passes() {
        for document in [
            r#"{"a":[1,-2.5e10,true,null,"\\u0000","\"\u00e9","\ud83d\ude00"]}"#,
            "1e131071",
            "1e-16383",
            "1.7976931348623157e308",
            "5e-324",
            r#"{"1e999999":"1e999999"}"#,
        ] {
            assert_eq!(unstorable(document), None, "{document}");
        }
    }
}
