//! What to say of a name that does not exist.

/// The message for a name that is not among the known ones: the nearest of them if one is near, and the list.
pub(crate) fn unknown(kind: &str, found: &str, known: &[impl AsRef<str>]) -> String {
    let hint = nearest(found, known).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    let list: Vec<String> = known.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    format!("unknown {kind} `{found}`; {hint}known: {}", list.join(", "))
}

/// The known name that differs least, if it differs in no more than a third of its characters.
fn nearest<'a>(found: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(found, name.as_ref()), name.as_ref()))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(found.len()).div_ceil(3))
        .map(|(_, name)| name)
}

/// The number of characters to insert, delete or replace (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (position, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = position + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("index", "index", 0), ("ünique", "unique", 1)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["primary_key", "unique", "index"];
        assert_eq!(nearest("primry_key", &known), Some("primary_key"));
        assert_eq!(nearest("indx", &known), Some("index"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(
            unknown("field tag", "uniqe", &known),
            "unknown field tag `uniqe`; did you mean `unique`? known: `primary_key`, `unique`, `index`"
        );
    }
}
