//! Blind indexes: what the truth finds equal values by, without knowing them.

use ring::hmac::{self, HMAC_SHA256};
use zeroize::Zeroize;

use super::key::{EncryptionKey, SecretBytes, zeroes};
use super::plaintext;
use crate::value::Value;

/// 128 bits: among four thousand million values of a column the chance of two with one index is below 2⁻⁶⁴, and the index stays small.
const LENGTH: usize = 16;

const PURPOSE: &[u8] = b"strata blind index 1";

/// The blind index of one column, with a key of its own: equal values of two columns do not look so.
pub(super) struct BlindIndex {
    key: SecretBytes,
}

impl BlindIndex {
    pub(super) fn new(index_key: &EncryptionKey, table: &str, column: &str) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, index_key.bytes()));
        for part in [PURPOSE, table.as_bytes(), column.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = zeroes();
        key.copy_from_slice(context.sign().as_ref());
        BlindIndex { key }
    }

    /// What stands for a value; NULL and what is not given stand for themselves.
    pub(super) fn of(&self, value: &Value<'_>) -> Value<'static> {
        let Some(mut bytes) = plaintext::encode_canonical(value) else { return value.as_borrowed().into_owned() };
        let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, &self.key[..]), &bytes);
        bytes.zeroize();
        Value::Bytes(tag.as_ref()[..LENGTH].to_vec().into())
    }
}
