//! How JSON is laid out. Its tokens stay as they are: a number that is read may lose digits.

use std::iter;

/// In one line, without blanks between the tokens.
pub(crate) fn in_line(json: &str) -> String {
    tokens(json).collect()
}

/// In lines that are indented, for people.
pub(crate) fn indented(json: &str) -> String {
    let (mut lines, mut depth) = (String::new(), 0);
    for token in tokens(json) {
        let (is_first, is_end) = (lines.ends_with(['{', '[']), matches!(token, "}" | "]"));
        if is_end {
            depth -= 1;
        }
        if is_first != is_end || lines.ends_with(',') {
            lines.push('\n');
            lines.extend(iter::repeat_n("  ", depth));
        }
        lines.push_str(token);
        match token {
            "{" | "[" => depth += 1,
            ":" => lines.push(' '),
            _ => {}
        }
    }
    lines
}

/// The tokens of a valid document.
fn tokens(mut rest: &str) -> impl Iterator<Item = &str> {
    const PUNCTUATION: [char; 6] = ['{', '}', '[', ']', ':', ','];
    iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let end = match rest.chars().next()? {
            '"' => end_of_string(rest),
            first if PUNCTUATION.contains(&first) => 1,
            _ => rest.find(|next: char| next.is_ascii_whitespace() || PUNCTUATION.contains(&next)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(end);
        rest = behind;
        Some(token)
    })
}

fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let quote = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    quote.map_or(text.len(), |quote| quote + 2)
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    #[test]
    fn json_is_laid_out_as_serde_does_it() {
        for json in [
            "7",
            "\"\"",
            "[]",
            " { \"a\" : [ ] , \"b\" : [ { } , [ 1 , null ] ] , \"c\":\n{\"d\":true} }\t",
            r#"{"{\"a\\":"[1, 2]: \\\"","é\\":["]"]}"#,
        ] {
            let value: Json = serde_json::from_str(json).unwrap();
            assert_eq!((in_line(json), indented(json)), (value.to_string(), format!("{value:#}")), "{json}");
        }
    }

    #[test]
    fn no_number_loses_digits() {
        let numbers = "[170141183460469231731687303715884105727,1.10,-0,1e400]";
        assert_eq!(in_line(numbers), numbers);
        assert_eq!(indented(numbers).lines().nth(1), Some("  170141183460469231731687303715884105727,"));
    }
}
