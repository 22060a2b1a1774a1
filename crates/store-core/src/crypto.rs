//! Encryption of single fields: keys, ciphers, and the one place where rows are sealed and opened.
//!
//! A model's row is sealed as soon as it is made, and opened where a model is made of it. So every tier below memory, the journal and the log see a column of
//! bytes and know nothing of encryption.

mod aes_gcm;
mod blind;
mod encryptor;
mod key;
mod key_ring;
mod plaintext;
mod provider;
mod sealer;

pub use aes_gcm::Aes256Gcm;
pub use encryptor::Encryptor;
pub use key::EncryptionKey;
pub use key_ring::KeyRing;
pub use provider::{CallbackKeys, EnvironmentKeys, FileKeys, KeyProvider};
pub(crate) use sealer::Sealer;

#[cfg(test)]
mod tests;
