//! How keys are named in Redis.

use store_core::BoundSchema;

/// Names keys: `{root}:{schema prefix}:{key}`.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    root: String,
}

impl Keys {
    pub(crate) fn new(root: String) -> Self {
        Keys { root }
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
    fn glob_characters_lose_their_meaning() {
        let mut pattern = String::new();
        escape_glob(r"a*b?c[d]e\f", &mut pattern);
        assert_eq!(pattern, r"a\*b\?c\[d\]e\\f");
    }
}
