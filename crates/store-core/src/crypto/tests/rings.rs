//! Keys as programs write them, and what is never shown of them.

use crate::crypto::{CallbackKeys, EncryptionKey, KeyRing};
use crate::error::ErrorKind;

fn digits(digit: char) -> String {
    String::from(digit).repeat(64)
}

#[test]
fn a_ring_is_read_from_text() {
    let (new, old, index) = (digits('b'), digits('A'), digits('c'));
    for text in [
        format!("2={new},1={old},index={index}"),
        format!("# the newest one encrypts\n2={new}\r\n1={old}\n\n  # for blind indexes\nindex={index}\n"),
        format!("index={index} 2={new}\t1={old}"),
    ] {
        let ring: KeyRing = text.parse().unwrap();
        assert_eq!((ring.primary(), ring.numbers().collect::<Vec<_>>(), ring.index_key().is_some()), (2, vec![1, 2], true), "{text}");
        assert_eq!(ring.index_key().unwrap().bytes(), &[0xcc; 32]);
    }
}

#[test]
fn what_is_no_ring_is_refused_without_showing_it() {
    let (key, short) = (digits('b'), "b".repeat(63));
    for (text, told) in [
        (String::new(), "no encryption key"),
        (format!("index={key}"), "no encryption key"),
        (key.clone(), "entry 1 of the encryption keys is not `number=key`"),
        (format!("1={short}"), "64 hexadecimal digits (32 bytes), this text has 63 characters"),
        (format!("1={}x", "b".repeat(63)), "hexadecimal digits alone"),
        (format!("1={key},two={key}"), "entry 2 of the encryption keys begins neither"),
        (format!("-1={key}"), "begins neither"),
        (format!("1={key},1={key}"), "two encryption keys have the number 1"),
        (format!("1={key},index={key},index={key}"), "`index` twice"),
        (format!("2={},1={key},3={key}", digits('c')), "the numbers 1 and 3 are the same key"),
        (format!("2={},1={key},index={key}", digits('c')), "the key of blind indexes is one of those that encrypt"),
    ] {
        let error = text.parse::<KeyRing>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(told), "{error}");
        assert!(!error.to_string().contains("bbb"), "{error}");
    }
    for length in [0, 16, 31, 33, 64] {
        let error = EncryptionKey::from_bytes(&vec![7; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(&format!("32 bytes, this one {length}")), "{error}");
    }
}

#[test]
fn a_ring_of_the_program_s_own_is_held_to_the_same() {
    let key = |byte| EncryptionKey::from_bytes(&[byte; 32]).unwrap();
    let ring = KeyRing::new(1, key(1)).with_key(2, key(2)).with_index_key(key(3));
    assert_eq!(ring.problem(), None);
    for (ring, told) in [
        (ring.clone().with_key(7, key(2)), "the numbers 2 and 7 are the same key"),
        (ring.clone().with_encryptor(7, crate::Aes256Gcm::new(&key(1))), "the numbers 1 and 7 are the same key"),
        (ring.clone().with_index_key(key(2)), "the key of blind indexes is one of those that encrypt"),
        (KeyRing::new(1, key(1)).with_index_key(key(3)).with_key(2, key(3)), "the key of blind indexes is one of those that encrypt"),
    ] {
        let problem = ring.problem().unwrap();
        assert!(problem.contains(told), "{problem}");
    }
}

#[test]
fn nothing_shows_a_key() {
    let key = EncryptionKey::from_bytes(&[0xab; 32]).unwrap();
    let ring = KeyRing::new(1, key.clone()).with_index_key(key.clone());
    let provider = CallbackKeys::new(async || Ok(KeyRing::new(1, EncryptionKey::generate()?)));
    let shown = format!("{key:?} {ring:?} {:?} {provider:?} {ring:#?}", crate::Aes256Gcm::new(&key));
    for part in ["ab", "171", "AB"] {
        assert!(!shown.replace("Callback", "").contains(part), "{shown}");
    }
}
