use serde_json::Value;

use super::*;

const NOW: i64 = 1_800_000_000_000;

/// HMAC as RFC 2104 writes it down.
fn hmac(pads: &[Block; 2], text: &str) -> String {
    let inner = digest(&SHA256, &[pads[0].as_slice(), text.as_bytes()].concat());
    hex(digest(&SHA256, &[pads[1].as_slice(), inner.as_ref()].concat()).as_ref())
}

#[test]
fn a_seal_is_the_first_member_and_covers_everything_behind_it() {
    let seal = Seal::new(b"a key of thirty-two bytes, or so").unwrap();
    for (claims, behind) in [
        (r#"{"sub":"ann"}"#, r#","sub":"ann"}"#),
        ("{}", "}"),
        (" { }", " }"),
        ("\n{ \"sub\": \"änn\" }", ", \"sub\": \"änn\" }"),
    ] {
        let sealed = seal.seal(claims, NOW);
        let head = format!("v1.{}.{}.", seal.key_id(), NOW + 60_000);
        let mac = hmac(&seal.pads(), &format!("{head}{behind}"));
        assert_eq!(sealed, format!(r#"{{"tollgate_seal":"{head}{mac}"{behind}"#));
        let mut members: Value = serde_json::from_str(&sealed).unwrap();
        members.as_object_mut().unwrap().remove("tollgate_seal").unwrap();
        assert_eq!(members, serde_json::from_str::<Value>(claims).unwrap());
    }
}

#[test]
fn what_is_no_object_stays_without_a_seal() {
    let seal = Seal::new(&[1; 32]).unwrap();
    for text in ["", "null", "[]", "\"{\""] {
        assert_eq!(seal.seal(text, NOW), text);
    }
}

#[test]
fn no_moment_breaks_the_form_of_a_seal() {
    let seal = Seal::new(&[1; 32]).unwrap();
    for now in [i64::MIN, -1, 0, i64::MAX] {
        assert!(serde_json::from_str::<Value>(&seal.seal("{}", now)).is_ok(), "{now}");
    }
}

#[test]
fn a_key_has_at_least_thirty_two_bytes_and_may_be_longer_than_a_block() {
    assert_eq!(Seal::new(&[1; 31]).unwrap_err(), NotASealKey);
    let [one, other] = [64, 65].map(|length| Seal::new(&vec![1; length]).unwrap());
    assert_ne!(one.key_id(), other.key_id());
    // RFC 4231, test case 6: a key of 131 bytes.
    let long = Seal::new(&[0xaa; 131]).unwrap();
    let mac = hmac(&long.pads(), "Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

#[test]
fn a_key_is_written_in_hexadecimal_digits() {
    let digits = "00ff".repeat(16);
    let seal = Seal::from_hex(&digits).unwrap();
    assert_eq!(seal.key_id(), Seal::from_hex(&digits.to_uppercase()).unwrap().key_id());
    assert_eq!(seal.key_id(), Seal::new(&[0x00, 0xff].repeat(16)).unwrap().key_id());
    for wrong in ["", &digits[..62], &digits[..63], &format!("{digits}0"), &"0x".repeat(33), "ää"]
    {
        assert_eq!(Seal::from_hex(wrong).unwrap_err(), NotASealKey, "{wrong}");
    }
}

#[test]
fn a_key_comes_back_out_of_the_database_as_it_went_in() {
    for length in [32, 64, 100] {
        let seal = Seal::new(&vec![5; length]).unwrap();
        let [inner, _] = seal.pads();
        let back = Seal::of_pad(seal.key_id(), inner.as_slice()).unwrap();
        assert_eq!(back.seal(r#"{"sub":"ann"}"#, NOW), seal.seal(r#"{"sub":"ann"}"#, NOW));
    }
    assert!(Seal::of_pad("00000000", &[0; 63]).is_none());
}

#[test]
fn debugging_shows_neither_key_nor_claims() {
    let seal = Seal::new(b"walnut walnut walnut walnut walnut").unwrap();
    let shown = format!("{seal:?} {:?}", Sealed::new(Some(&seal), r#"{"sub":"walnut"}"#));
    assert!(shown.contains(seal.key_id()) && !shown.contains("walnut"), "{shown}");
    assert!(!shown.contains(&hex(b"walnut")) && !shown.contains("119, 97, 108"), "{shown}");
}
