//! Life times as the attributes write them.

/// Reads `500ms`, `60s`, `5m`, `4h` or `7d` as milliseconds.
///
/// # Errors
///
/// What is wrong and how to write it.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "d" => 24 * 60 * 60 * 1_000,
        _ => return Err(unreadable(text)),
    };
    if number.is_empty() {
        return Err(unreadable(text));
    }
    let duration = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("the duration `{text}` is too long"))?;
    if duration == 0 {
        return Err(String::from("a life time of zero would cache nothing; give a longer one"));
    }
    Ok(duration)
}

fn unreadable(text: &str) -> String {
    format!("`{text}` is not a duration; write a whole number and a unit: \"500ms\", \"60s\", \"5m\", \"4h\" or \"7d\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("4h", 14_400_000), ("7d", 604_800_000), ("007s", 7_000)]
        {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "s", "60", "60 s", " 60s", "-1s", "1.5s", "60S", "1w", "1s1s", "\u{0661}s", "never"] {
            assert!(milliseconds(text).unwrap_err().contains("is not a duration"), "{text}");
        }
        for text in ["0s", "0ms", "000d"] {
            assert!(milliseconds(text).unwrap_err().contains("zero"), "{text}");
        }
        for text in ["18446744073709551616ms", "18446744073709551615d"] {
            assert!(milliseconds(text).unwrap_err().contains("too long"), "{text}");
        }
    }
}
