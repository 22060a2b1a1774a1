//! The keys of encrypted fields from environment variables.

use store_core::{FileKeys, KeyRing, Result};

use super::variables::{Variables, invalid};

/// What the variables give.
pub(super) enum Keys {
    /// The keys themselves.
    Here(KeyRing),
    /// The file that they are in.
    File(FileKeys),
}

pub(super) fn take(variables: &mut Variables) -> Result<Option<Keys>> {
    let (keys, file) = (variables.take("STRATA_ENCRYPTION_KEYS"), variables.take("STRATA_ENCRYPTION_KEYS_FILE"));
    match (keys, file) {
        (Some(_), Some(_)) => Err(invalid(
            "STRATA_ENCRYPTION_KEYS_FILE",
            "is set beside STRATA_ENCRYPTION_KEYS, so that nobody knows which counts; unset one",
        )),
        (Some(keys), None) => match keys.parse::<KeyRing>() {
            Ok(keys) => Ok(Some(Keys::Here(keys))),
            // It names entries by their number, and shows none.
            Err(error) => Err(invalid("STRATA_ENCRYPTION_KEYS", &format!("holds no keys: {error}"))),
        },
        (None, Some(path)) => Ok(Some(Keys::File(FileKeys::new(path)))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Keys>> {
        take(&mut Variables::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))))
    }

    #[test]
    fn keys_are_given_in_one_of_two_ways() {
        let text = format!("2={},1={},index={}", "ab".repeat(32), "cd".repeat(32), "ef".repeat(32));
        assert!(of(&[]).unwrap().is_none());
        assert!(matches!(of(&[("STRATA_ENCRYPTION_KEYS", &text)]).unwrap(), Some(Keys::Here(keys)) if keys.primary() == 2));
        assert!(matches!(of(&[("STRATA_ENCRYPTION_KEYS_FILE", "/run/keys")]).unwrap(), Some(Keys::File(_))));
        for (variables, told) in [
            (&[("STRATA_ENCRYPTION_KEYS", &*text), ("STRATA_ENCRYPTION_KEYS_FILE", "/run/keys")][..], "unset one"),
            (&[("STRATA_ENCRYPTION_KEYS", &text[2..])], "entry 1 of the encryption keys is not `number=key`"),
        ] {
            let error = of(variables).err().unwrap().to_string();
            assert!(error.contains(told) && !error.contains("abab"), "{error}");
        }
    }
}
