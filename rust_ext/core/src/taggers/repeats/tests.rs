//! The search against the definition, tried at each start for each length.

use proptest::prelude::*;

use super::units::Units;
use super::*;

fn found(text: &str) -> Vec<(usize, usize, usize)> {
    let mut views = Views::default();
    let view = crate::taggers::Text::new(text);
    let (units, shortest) = views.of(&view);
    let mut all = Vec::new();
    units.each(false, shortest, |r| all.push((r.start, r.end, r.count)));
    all
}

fn wide(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

/// As a backtracking engine would, with the same rule for a single group.
fn slow(text: &str) -> Vec<(usize, usize, usize)> {
    let units = wide(text);
    let space = |u: u32| char::from_u32(u).is_some_and(crate::taggers::chars::is_python_space);
    let line = Line { units: &units, space, newline: 10 };
    let (mut start, mut all) = (0, Vec::new());
    while start < units.len() {
        let group = (1..=units.len() - start)
            .take_while(|l| units[start + l - 1] != 10)
            .find(|l| line.copies(start, *l, start + l, 3).is_some());
        let Some(length) = group else {
            start += 1;
            continue;
        };
        let (end, _) = line.all_copies(start, length);
        let text: String = units[start..end].iter().filter_map(|u| char::from_u32(*u)).collect();
        let group: String = text.chars().take(length).collect();
        all.push((start, end, text.matches(&group).count()));
        start = end;
    }
    all
}

#[test]
fn groups_may_be_joined_or_have_one_space_between_them() {
    assert_eq!(found("aaa"), []);
    assert_eq!(found("xaaaay"), [(1, 5, 4)]);
    assert_eq!(found("a a\ta\na"), [(0, 7, 4)]);
    assert_eq!(found("aa  aa"), []);
    assert_eq!(found("ababab ab"), [(0, 9, 4)]);
    assert_eq!(found("no no no no no"), [(0, 14, 5)]);
    assert_eq!(found("abcdefghij abcdefghijabcdefghij\nabcdefghij!"), [(0, 42, 4)]);
    assert_eq!(found("ab\ncdab\ncdab\ncdab\ncd"), []);
}

#[test]
fn a_group_that_is_a_space_counts_each_of_its_kind() {
    assert_eq!(found("x     y"), [(1, 6, 5)]);
    assert_eq!(found("  \t  "), [(0, 5, 4)]);
    assert_eq!(found("\n\n\n\n\n"), []);
}

#[test]
fn characters_are_units() {
    assert_eq!(found("né né né né"), [(0, 11, 4)]);
    assert_eq!(found("x字\u{3000}字\u{a0}字字"), [(1, 7, 4)]);
    let many: String = ('\u{4e00}'..'\u{4f40}').collect();
    assert_eq!(found(&many.repeat(4)), [(0, 1280, 4)]);
}

#[test]
fn long_texts_that_invite_to_try_everything_are_done_in_time() {
    let random = |length: usize| {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + (state >> 60) as u8)
        };
        (0..length).map(|_| next()).collect::<String>()
    };
    assert_eq!(found(&"a".repeat(3_000_000)), [(0, 3_000_000, 3_000_000)]);
    assert_eq!(found(&"ab ".repeat(300_000)), [(0, 899_999, 300_000)]);
    assert!(found(&random(300_000).repeat(3)).iter().all(|(start, end, _)| end - start < 20));
    let line = random(1000) + "\n";
    assert_eq!(found(&line.repeat(1000)), [(0, 1_000_999, 1000)]);
    // Stretches that almost repeat, and runs that meet at each distance.
    let mut almost = String::new();
    for i in 0..300 {
        almost += &"a".repeat(1000);
        almost += &format!("{i}");
    }
    assert_eq!(found(&almost).len(), 300);
}

fn text() -> impl Strategy<Value = String> {
    let piece = "[ab\n \t]{1,3}|[a-c]{9,14}|[a é]{1,20}";
    let repeated = (piece, "[ \n]{0,2}", 1..7usize).prop_map(|(p, gap, n)| format!("{p}{gap}").repeat(n));
    prop::collection::vec(prop_oneof![repeated, "[ab \n字]{0,9}"], 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn equals_the_definition(text in text()) {
        prop_assert_eq!(found(&text), slow(&text), "{:?}", text);
    }

    #[test]
    fn fingerprints_give_the_same(text in text()) {
        let units = wide(&text.repeat(5));
        let line = Line { units: &units, space: |u| u == 32, newline: 10 };
        let [mut one, mut other] = [vec![0; units.len()], vec![0; units.len()]];
        line.far(&mut one);
        line.far_with(Some(prints::Prints::new(&units)), &mut other);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn units_of_either_width_give_the_same(text in text()) {
        let units = wide(&text);
        let mut all = Vec::new();
        Units::Wide(&units).each(false, &mut Vec::new(), |r| all.push((r.start, r.end, r.count)));
        prop_assert_eq!(found(&text), all);
    }
}
