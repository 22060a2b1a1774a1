//! Keys as bytes.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// The length of every key, in bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// Bytes that are wiped when they are dropped. They lie on the heap, since whatever is moved leaves a copy behind.
pub(super) type SecretBytes = Box<Zeroizing<[u8; KEY_LENGTH]>>;

pub(super) fn zeroes() -> SecretBytes {
    Box::new(Zeroizing::new([0; KEY_LENGTH]))
}

/// A secret key of 32 bytes. Its memory is wiped when it is dropped, and `Debug` does not show it.
///
/// As text it is 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
///
/// ```
/// use store_core::{EncryptionKey, ErrorKind};
///
/// let key: EncryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse()?;
/// assert_eq!(format!("{key:?}"), "EncryptionKey(…)");
///
/// let refused = EncryptionKey::from_bytes(b"too short").unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKey(SecretBytes);

impl EncryptionKey {
    /// Takes a key of exactly 32 bytes. Wiping `bytes` is the caller's part.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut key = zeroes();
        if bytes.len() != KEY_LENGTH {
            let message =
                format!("an encryption key has {KEY_LENGTH} bytes, this one {}; make one with `openssl rand -hex 32`", bytes.len());
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        key.copy_from_slice(bytes);
        Ok(EncryptionKey(key))
    }

    /// Makes a new key by the system's generator of random numbers.
    ///
    /// # Errors
    ///
    /// [`Internal`](ErrorKind::Internal) if the system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let mut key = zeroes();
        random(&mut key[..])?;
        Ok(EncryptionKey(key))
    }

    /// Reads hexadecimal digits, or says what is wrong without showing any.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let digits = text.as_bytes();
        if digits.len() != 2 * KEY_LENGTH {
            return Err(format!(
                "an encryption key is written as {} hexadecimal digits ({KEY_LENGTH} bytes), this text has {} characters; make one with `openssl rand -hex 32`",
                2 * KEY_LENGTH,
                text.chars().count()
            ));
        }
        let mut key = zeroes();
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                *byte = *byte << 4
                    | value.ok_or("an encryption key is written in hexadecimal digits alone; make one with `openssl rand -hex 32`")?;
            }
        }
        Ok(EncryptionKey(key))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

/// Fills a place with random bytes of the system's generator.
pub(super) fn random(place: &mut [u8]) -> Result<()> {
    let filled = SystemRandom::new().fill(place);
    filled.map_err(|_| Error::new(ErrorKind::Internal, "the system gave no random numbers; nothing was encrypted"))
}

impl FromStr for EncryptionKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|problem| Error::new(ErrorKind::InvalidConfig, problem))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}
