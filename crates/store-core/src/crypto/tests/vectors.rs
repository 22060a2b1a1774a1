//! The cipher against published vectors (those of McGrew and Viega, which NIST took over), and its nonces.

use std::collections::HashSet;

use crate::crypto::{Aes256Gcm, EncryptionKey, Encryptor};

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|start| u8::from_str_radix(&digits[start..start + 2], 16).unwrap()).collect()
}

#[test]
fn published_ciphertexts_are_decrypted() {
    let zeros = "00".repeat(32);
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let nonce = "cafebabefacedbaddecaf888";
    let plaintext =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    let ciphertext =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
    for (key, nonce, associated, plaintext, ciphertext, tag) in [
        (&*zeros, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            &*zeros,
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (key, nonce, "feedfacedeadbeeffeedfacedeadbeefabaddad2", plaintext, ciphertext, "76fc6ece0f4e1768cddf8853bb2d551b"),
    ] {
        let aes = Aes256Gcm::new(&key.parse::<EncryptionKey>().unwrap());
        let sealed = bytes(&format!("{nonce}{ciphertext}{tag}"));
        assert_eq!(aes.decrypt(&sealed, &bytes(associated)).unwrap(), bytes(plaintext));
        let other = [aes.encrypt(&bytes(plaintext), &bytes(associated)).unwrap(), sealed.clone()];
        assert_eq!(other[0].len(), other[1].len());
        assert_eq!(aes.decrypt(&other[0], &bytes(associated)).unwrap(), bytes(plaintext));
    }
}

#[test]
fn a_million_nonces_are_a_million_different_ones() {
    let aes = Aes256Gcm::new(&EncryptionKey::generate().unwrap());
    let mut seen = HashSet::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        let sealed = aes.encrypt(b"a", b"").unwrap();
        assert!(seen.insert(*sealed.first_chunk::<12>().unwrap()));
    }
}
