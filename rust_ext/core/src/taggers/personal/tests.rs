//! Each kind with what makes it one, and what surrounds it.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::LargeStringArray;

use super::*;
use crate::taggers::tag_texts;

const NAMES: [&str; 8] = ["EMAIL", "PHONE", "IPV4", "IPV6", "IBAN", "CARD", "SSN", "KEY"];

/// `KIND text` for each find, by kind, as its offsets in code points cut it out.
fn finds(text: &str) -> Vec<String> {
    let texts = LargeStringArray::from(vec![text]);
    let columns = tag_texts(&mut [Box::new(Personal::default())], &texts).unwrap();
    let chars: Vec<char> = text.chars().collect();
    let mut all = Vec::new();
    for (name, column) in NAMES.iter().zip(&columns[0]) {
        let spans = column.as_list::<i32>().value(0);
        let of = |j| spans.as_struct().column(j).as_primitive::<Int64Type>().values().to_vec();
        for (start, end) in of(0).into_iter().zip(of(1)) {
            all.push(format!("{name} {}", chars[start as usize..end as usize].iter().collect::<String>()));
        }
    }
    assert_eq!(columns[0][8].as_primitive::<Float64Type>().value(0), all.len() as f64);
    all
}

#[test]
fn e_mail_addresses_end_where_they_end() {
    assert_eq!(
        finds("é (first.last+x@mail.example.org). 'a@b.co'"),
        ["EMAIL first.last+x@mail.example.org", "EMAIL a@b.co"]
    );
    assert_eq!(finds("a@b.c a@b @b.co a..b@c.org x@y@z.org a@b.co_ a@-b.co user@1.2.3.4"), ["IPV4 1.2.3.4"]);
    assert_eq!(finds(&format!("{}@b.co {}@b.co", "a".repeat(64), "a".repeat(65))).len(), 1);
}

#[test]
fn phone_numbers_of_the_world_and_of_north_america() {
    for number in
        ["+44 20 7946 0958", "+4915112345678", "555-234-5678", "(555) 234-5678", "1-555-234-5678", "555 234 5678"]
    {
        assert_eq!(finds(&format!("é call {number}, now")), [format!("PHONE {number}")]);
    }
    for number in [
        "555-134-5678",
        "155-234-5678",
        "5552345678",
        "a555-234-5678",
        "555-234-5678-9",
        "+1234567",
        "+1130 2010",
        "2+44207946095",
    ] {
        assert_eq!(finds(&format!("call {number} now")), [""; 0], "{number}");
    }
}

#[test]
fn addresses_of_machines() {
    assert_eq!(finds("at 192.168.1.255. v1.2.3.4 1.2.3.4.5 256.1.1.1 01.1.1.1 x-1.2.3.4"), ["IPV4 192.168.1.255"]);
    assert_eq!(finds("[2001:db8::1]:80 fe80::1, a::b 12:34:56 ::1 std::a"), ["IPV6 2001:db8::1", "IPV6 fe80::1"]);
    assert_eq!(finds("1:2:3:4:5:6:7:8: 1:2:3:4:5:6:7:8:9"), ["IPV6 1:2:3:4:5:6:7:8"]);
}

#[test]
fn numbers_with_check_digits() {
    assert_eq!(
        finds("4111 1111 1111 1111, 378282246310005; 4111-1111-1111-1112 4111 1111 11111111 5555555555554444x"),
        ["CARD 4111 1111 1111 1111", "CARD 378282246310005"]
    );
    assert_eq!(
        finds("DE89 3704 0044 0532 0130 00 GB82WEST12345698765432. DE89370400440532013001 XX89370400440532013000"),
        ["IBAN DE89 3704 0044 0532 0130 00", "IBAN GB82WEST12345698765432"]
    );
    assert_eq!(finds("123-45-6789 666-45-6789 123-00-6789 900-45-6789 123-45-67890"), ["SSN 123-45-6789"]);
}

#[test]
fn keys_by_their_prefix() {
    let (aws, google) = (format!("AKIA{}", "A1B2".repeat(4)), format!("AIza{}", "aB-_9".repeat(7)));
    let github = format!("ghp_{}", "a1".repeat(18));
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-_";
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
    for key in [&aws, &google, &github, token, pem, "xoxb-1234567890-abc", "sk_live_0123456789abcdef"] {
        assert_eq!(finds(&format!("é \"{key}\".")), [format!("KEY {key}")]);
    }
    assert_eq!(finds(&format!("x{aws} {aws}Z {github}a sk_live_short eyJa.b.c -----BEGIN PUBLIC KEY-----")), [""; 0]);
    assert_eq!(finds("-----BEGIN PRIVATE KEY-----\nno end"), ["KEY -----BEGIN PRIVATE KEY-----"]);
}

#[test]
fn finds_do_not_overlap() {
    assert_eq!(finds("555-234-5678@example.org"), ["EMAIL 555-234-5678@example.org"]);
    assert_eq!(finds("::ffff:192.168.1.1:80"), ["IPV4 192.168.1.1"]);
}

#[test]
fn texts_that_invite_to_look_back_are_done_in_time() {
    for text in ["a@", "1 ", "1-", ":", "a:", "eyJ", "-----BEGIN ", "eyJa.eyJ", "+1", "AA11 ", "eyJ-", "1.1.1.1."] {
        finds(&text.repeat(2_000_000 / text.len()));
    }
}
