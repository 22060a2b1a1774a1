//! How keys, and the channel of messages, are named in Redis.

use store_core::BoundSchema;

/// Names slots `{root}:{schema prefix}:{key}`, marks `{root}:_mark:{schema prefix}` and lists of tags `{root}:_tags:{schema prefix}`. No schema's prefix begins with `_`.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    root: String,
}

impl Keys {
    pub(crate) fn new(root: String) -> Self {
        Keys { root }
    }

    /// What the names of marks begin with; the schema's prefix follows. In a cluster, the number in braces decides the hash slot.
    pub(crate) fn mark_stem(&self, number: Option<u32>) -> String {
        self.stem("_mark", number)
    }

    /// What the names of lists of tags begin with, in the hash slot of the mark of that number.
    pub(crate) fn tags_stem(&self, number: Option<u32>) -> String {
        self.stem("_tags", number)
    }

    fn stem(&self, kind: &str, number: Option<u32>) -> String {
        match number {
            None => format!("{}:{kind}:", self.root),
            Some(number) => format!("{}:{kind}:{{{number}}}:", self.root),
        }
    }

    /// Whether the root alone decides the hash slot, so that all keys lie in one.
    pub(crate) fn lie_in_one_hash_slot(&self) -> bool {
        self.root.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty())
    }

    /// The channel of messages, unless another is chosen. Pub/sub knows no databases, so the root keeps applications apart.
    pub(crate) fn channel(&self) -> String {
        format!("{}:invalidate", self.root)
    }

    /// The slot of one key of a schema.
    pub(crate) fn slot(&self, schema: &BoundSchema, key: &str) -> String {
        format!("{}:{}:{key}", self.root, schema.key_prefix())
    }

    /// The `MATCH` pattern of all slots of a schema, and of nothing else.
    pub(crate) fn slot_pattern(&self, schema: &BoundSchema) -> String {
        let mut pattern = String::new();
        escape_glob(&self.root, &mut pattern);
        pattern.push(':');
        escape_glob(schema.key_prefix(), &mut pattern);
        pattern.push_str(":*");
        pattern
    }
}

fn escape_glob(text: &str, pattern: &mut String) {
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tag_in_the_root_is_seen() {
        for (root, expected) in [("strata", false), ("{app}", true), ("a{b}c", true), ("a{}", false), ("a{b", false), ("}a{", false)] {
            assert_eq!(Keys::new(root.to_owned()).lie_in_one_hash_slot(), expected, "{root}");
        }
    }

    #[test]
    fn glob_characters_lose_their_meaning() {
        let mut pattern = String::new();
        escape_glob(r"a*b?c[d]e\f", &mut pattern);
        assert_eq!(pattern, r"a\*b\?c\[d\]e\\f");
    }
}
