//! International bank account numbers (ISO 13616).

use super::word_after;

/// Characters by country, from the IBAN registry.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 \
DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 \
LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 \
RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// Where the number that begins at `start` with two letters ends; it may have a space after each four characters.
pub fn end(text: &str, start: usize) -> Option<usize> {
    let country = text.get(start..start + 2)?;
    let length: usize = LENGTHS.split(' ').find_map(|entry| entry.strip_prefix(country))?.parse().ok()?;
    let bytes = text.as_bytes().get(start..)?;
    let spaced = bytes.get(4) == Some(&b' ');
    let mut characters = Vec::with_capacity(length);
    let mut at = 0;
    while characters.len() < length {
        if spaced && at > 0 && characters.len() % 4 == 0 && bytes.get(at) == Some(&b' ') {
            at += 1;
        } else if spaced && at > 0 && characters.len() % 4 == 0 {
            return None;
        }
        let byte = *bytes.get(at)?;
        if !byte.is_ascii_digit() && !byte.is_ascii_uppercase() {
            return None;
        }
        characters.push(byte);
        at += 1;
    }
    let end = start + at;
    (characters[2..4].iter().all(u8::is_ascii_digit) && remainder(&characters) == 1 && !word_after(text, end))
        .then_some(end)
}

/// The remainder, divided by 97, of the number whose digits are those of the characters, the first four moved to the
/// end and letters as 10 to 35.
fn remainder(characters: &[u8]) -> u32 {
    let (head, rest) = characters.split_at(4);
    rest.iter().chain(head).fold(0, |left, c| match c {
        b'0'..=b'9' => (left * 10 + u32::from(c - b'0')) % 97,
        _ => (left * 100 + u32::from(c - b'A') + 10) % 97,
    })
}
