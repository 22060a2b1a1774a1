//! How alike two texts are, as PostgreSQL's `pg_trgm` counts it.

/// The share of the groups of three characters that two texts have in common, of all that either has: from 0, for nothing, to 1.
///
/// It is what the function `similarity` of PostgreSQL's extension `pg_trgm` answers in a database whose character type is one of UTF-8: words are runs of letters and
/// digits, without case, with two blanks in front and one behind. SQLite has the function of that name from Strata, which is this one.
///
/// ```
/// use store_core::sql::similarity;
///
/// assert_eq!(similarity("word", "two words"), 0.363_636_37);
/// assert_eq!((similarity("Lima", "LIMA!"), similarity("Lima", "Cusco"), similarity("", "")), (1.0, 0.0, 0.0));
/// ```
pub fn similarity(one: &str, other: &str) -> f32 {
    let (one, other) = (trigrams(one), trigrams(other));
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let common = one.iter().filter(|trigram| other.binary_search(trigram).is_ok()).count();
    // The counts are those of characters in a text.
    common as f32 / (one.len() + other.len() - common) as f32
}

/// Each group once, in order.
fn trigrams(text: &str) -> Vec<[char; 3]> {
    let mut trigrams = Vec::with_capacity(text.len() + 4);
    for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // One character stays one, as in C's `towlower`.
        let word = word.chars().map(|character| character.to_lowercase().next().unwrap_or(character));
        let mut group = [' '; 3];
        for character in word.chain([' ']) {
            group = [group[1], group[2], character];
            trigrams.push(group);
        }
    }
    trigrams.sort_unstable();
    trigrams.dedup();
    trigrams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_padded_and_their_case_does_not_count() {
        assert_eq!(trigrams("Ab"), [[' ', ' ', 'a'], [' ', 'a', 'b'], ['a', 'b', ' ']]);
        assert_eq!(trigrams("É, é!"), [[' ', ' ', 'é'], [' ', 'é', ' ']]);
        assert_eq!(trigrams("-- !"), Vec::<[char; 3]>::new());
    }
}
