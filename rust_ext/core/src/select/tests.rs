use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, LargeBinaryArray};
use proptest::prelude::*;
use serde_json::{json, Value};

use super::evaluate::Numbers;
use super::*;

fn raw(documents: &[Value]) -> LargeBinaryArray {
    documents.iter().map(|d| Some(d.to_string().into_bytes())).collect()
}

fn texts(expressions: &[&str]) -> Vec<String> {
    expressions.iter().map(|e| (*e).to_owned()).collect()
}

fn select(include: &[&str], exclude: &[&str], syntax: Syntax, documents: &[Value]) -> Vec<Option<bool>> {
    let raw = raw(documents);
    let selector = Selector::new(&texts(include), &texts(exclude), syntax, false).unwrap();
    selector.select(&Documents::new(&raw, &[], &[]).unwrap()).kept.iter().collect()
}

/// Whether the path reaches anything in `document`.
fn reaches(path: &str, document: &Value) -> bool {
    select(&[path], &[], Syntax::JsonPath, std::slice::from_ref(document)) == [Some(true)]
}

fn scored(key: &str, score: Value) -> Value {
    json!({"id": "1", "text": "x", "attributes": {key: [[0, 1, score]]}})
}

#[test]
fn a_filter_on_attributes_tests_the_attributes_object() {
    let below = "$.attributes[?(@.e__t__a && @.e__t__a[0] && @.e__t__a[0][2] < 0.5)]";
    assert!(reaches(below, &scored("e__t__a", json!(0.4))));
    assert!(!reaches(below, &scored("e__t__a", json!(0.5))));
    assert!(!reaches(below, &scored("other", json!(0.4))));
    assert!(!reaches(below, &json!({"attributes": {"e__t__a": []}})));
    assert!(!reaches(below, &json!({"id": "1"})));
}

#[test]
fn dollar_at_is_the_root() {
    let path = "$@.attributes[?(@.bff_duplicate && @.bff_duplicate[0] && @.bff_duplicate[0][2] >= 1.0)]";
    assert!(reaches(path, &scored("bff_duplicate", json!(1))));
    assert!(!reaches(path, &scored("bff_duplicate", json!(0.99999))));
}

#[test]
fn numbers_are_equal_by_value() {
    for path in
        ["$.attributes[?(@.a[0][2] == 1)]", "$.attributes[?(@.a[0][2] == 1.0)]", "$@.attributes[?(@.a[0][2] <= 1e0)]"]
    {
        assert!(reaches(path, &scored("a", json!(1.0))), "{path}");
        assert!(reaches(path, &scored("a", json!(1))), "{path}");
    }
}

#[test]
fn what_is_missing_is_unequal_but_neither_less_nor_greater() {
    let document = json!({"attributes": {}});
    assert!(reaches("$.attributes[?(@.a[0][2] != 1)]", &document));
    assert!(!reaches("$.attributes[?(@.a[0][2] == 1)]", &document));
    assert!(!reaches("$.attributes[?(@.a[0][2] >= 1)]", &document));
    assert!(!reaches("$.attributes[?(@.a[0][2] < 1)]", &document));
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let d = json!({"a": 1, "b": 2});
    assert!(reaches("$[?(@.a == 1 || @.b == 3 && @.c)]", &d));
    assert!(!reaches("$[?((@.a == 1 || @.b == 3) && @.c)]", &d));
    assert!(reaches("$[?(!@.c && @.a)]", &d));
    assert!(!reaches("$[?(!(@.c || @.a))]", &d));
}

#[test]
fn both_sides_of_and_see_the_same_element() {
    let document = json!({"attributes": {"a": [[0, 5, 0.9], [5, 6, 0.1]]}});
    assert!(reaches("$.attributes.a[?(@[2] > 0.5 && @[1] > 3)]", &document));
    assert!(!reaches("$.attributes.a[?(@[2] > 0.5 && @[1] > 5)]", &document));
}

#[test]
fn strings_regular_expressions_and_sets() {
    let d = json!({"source": "it's", "metadata": {"url": "https://a.example/x", "tags": ["p", "q"]}});
    assert!(reaches("$[?(@.source == 'it\\'s')]", &d));
    assert!(reaches("$.metadata[?(@.url ~= '^https?://[a-z]\\.example/')]", &d));
    assert!(!reaches("$.metadata[?(@.url ~= '^ftp:')]", &d));
    assert!(reaches("$.metadata.tags[?(@ in ['q', 'r'])]", &d));
    assert!(!reaches("$.metadata.tags[?(@ in ['r'])]", &d));
    assert!(reaches("$.metadata[?(@.tags anyOf ['q'] && @.tags subsetOf ['p','q'] && @.tags size 2)]", &d));
    assert!(reaches("$.metadata[?(@.tags noneOf ['z'] && @.url nin ['z'])]", &d));
    assert!(reaches("$.metadata[?(@.tags.length() == 2)]", &d));
    assert!(reaches("$[?(@.source == $.source)]", &d));
}

#[test]
fn steps_reach_what_they_name() {
    let d = json!({"a": {"b": [10, 11, 12, 13], "c": {"b": [20]}}, "n": null});
    let find = |path: &str| {
        let path = jsonpath::parse(path).unwrap();
        Value::Array(evaluate::find(&path, &d, &Numbers::default()).into_iter().map(|v| v.into_owned()).collect())
    };
    assert_eq!(find("$.a.b[1]"), json!([11]));
    assert_eq!(find("$.a.b[0,-1]"), json!([10, 13]));
    assert_eq!(find("$.a.b[1:3]"), json!([11, 12]));
    assert_eq!(find("$.a.b[-3::2]"), json!([11, 13]));
    assert_eq!(find("$.a.b[2:99]"), json!([12, 13]));
    assert_eq!(find("$['a']['c'].b.[*]"), json!([20]));
    assert_eq!(find("$..b"), json!([[10, 11, 12, 13], [20]]));
    assert_eq!(find("$.a['b','c'].b"), json!([[20]]));
    assert_eq!(find("$.a.b.length()"), json!([4]));
    assert_eq!(find("$.a.b[?(@ > 10)].length()"), json!([3]));
    assert_eq!(find("$.n"), json!([null]));
    assert_eq!(find("$.n.m"), json!([]));
}

#[test]
fn a_path_that_does_not_parse_says_where() {
    let error = |path: &str| jsonpath::parse(path).unwrap_err();
    assert_eq!(
        error("$.attributes[?(@.a < )]"),
        "jsonpath `$.attributes[?(@.a < )]`: expected a path, a number, a quoted string, `true`, `false` or `null` \
         at column 22, found `)`"
    );
    assert_eq!(
        error("$.a[?(@.b ~= '(')]"),
        "jsonpath `$.a[?(@.b ~= '(')]`: expected a regular expression (unclosed group) at column 14, found `'`"
    );
    assert_eq!(error("$.a[?(@.b"), "jsonpath `$.a[?(@.b`: expected `)` at column 10, found the end");
    assert_eq!(error(""), "jsonpath ``: expected a path such as `$.attributes` at column 1, found the end");
    assert_eq!(error("$.a b"), "jsonpath `$.a b`: expected `.`, `[` or the end at column 5, found `b`");
    let deep = format!("$[?({}@.a{})]", "(".repeat(10_000), ")".repeat(10_000));
    assert!(error(&deep).contains("expected at most 64 levels of parentheses at column 69"));
}

#[test]
fn jq_keeps_by_truth() {
    let documents = [json!({"a": 1, "s": ""}), json!({"a": 0, "s": "x"}), json!({"a": 1.5, "s": "x"})];
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(select(&[".a"], &[], Syntax::Jq, &documents), [yes, no, yes]);
    assert_eq!(select(&[], &[".s"], Syntax::Jq, &documents), [yes, no, no]);
    assert_eq!(select(&[".a", ".s"], &[".a == 1"], Syntax::Jq, &documents), [no, yes, yes]);
    assert_eq!(select(&["empty"], &[], Syntax::Jq, &documents), [no, no, no]);
    assert_eq!(select(&[], &["empty"], Syntax::Jq, &documents), [yes, yes, yes]);
    // Every output of an include must hold; any output of an exclude drops.
    assert_eq!(select(&[".a, .s"], &[], Syntax::Jq, &documents), [no, no, yes]);
    assert_eq!(select(&[], &[".a, .s"], Syntax::Jq, &documents), [no, no, no]);
}

#[test]
fn a_jq_error_is_of_its_row_only() {
    let raw =
        raw(&[json!({"attributes": {"a": [1]}}), json!({"attributes": {"a": "x"}}), json!({"attributes": {"a": [0]}})]);
    let selector = Selector::new(&[".attributes.a | add".to_owned()], &[], Syntax::Jq, false).unwrap();
    let Selection { kept, errors, .. } = selector.select(&Documents::new(&raw, &[], &[]).unwrap());
    assert_eq!(kept.iter().collect::<Vec<_>>(), [Some(true), None, Some(false)]);
    assert_eq!(errors, [(1, "jq `.attributes.a | add`: cannot use \"x\" as iterable (array or object)".to_owned())]);
}

#[test]
fn a_jq_program_that_does_not_compile_says_why() {
    let error = |text: &str| Selector::new(&[text.to_owned()], &[], Syntax::Jq, false).err().unwrap().to_string();
    assert_eq!(error(".a | foo"), "jq `.a | foo`: undefined filter `foo` at column 6");
    assert_eq!(error(".a |"), "jq `.a |`: expected term at column 5");
    assert_eq!(error("now > 1"), "jq `now > 1`: `now` is not available: a filter sees nothing but the document");
    let hidden = [r#""\(halt(0))""#, r#""\(now)" | length"#];
    for text in hidden {
        let refused = jq::Program::new(text, false).unwrap().run(jq::value(&json!({})));
        assert_eq!(refused.unwrap_err(), format!("jq `{text}`: a filter sees nothing but the document"));
    }
    assert!(Selector::new(&[".a == \"now\"".to_owned()], &[], Syntax::Jq, false).is_ok());
}

#[test]
fn attributes_beside_a_document_are_merged_into_its_own() {
    let raw = raw(&[json!({"id": "1", "text": "añb", "attributes": {"a": [[0, 1, 9]], "b": 1}})]);
    let rows: Vec<LargeBinaryArray> = [r#"{"a":[[0,1,2]],"c":[]}"#, r#"{"a":[[0,2,3]]}"#]
        .map(|row| LargeBinaryArray::from_iter_values([row.as_bytes()]))
        .into();
    let mut spans = crate::taggers::Column::new(Kind::Spans, 1);
    spans.span(1, 2, 0.5);
    spans.finish_row();
    let columns: Vec<(String, ArrayRef)> = vec![
        ("d".to_owned(), Arc::new(Float64Array::from(vec![0.25]))),
        ("e".to_owned(), spans.finish()),
        ("f".to_owned(), Arc::new(Float64Array::from(vec![None]))),
    ];
    let documents = Documents::new(&raw, &rows, &columns).unwrap();
    let merged = json!({"a": [[0, 2, 3]], "b": 1, "c": [], "d": [[0, 3, 0.25]], "e": [[1, 2, 0.5]]});
    assert_eq!(documents.get(0, &Wanted::default()).unwrap()["attributes"], merged);
    let only = documents.get(0, &Wanted { fields: Some(vec!["attributes".to_owned()]), attributes: None }).unwrap();
    assert_eq!(only["attributes"], merged);
    assert_eq!(
        documents.get(0, &Wanted { fields: Some(vec!["id".to_owned()]), attributes: None }).unwrap(),
        json!({"id": "1"})
    );
    assert!(Documents::new(&raw, &[LargeBinaryArray::from_iter_values([b"{}", b"{}"])], &[]).is_err());
}

#[test]
fn a_line_that_is_no_document_is_an_error_of_its_row() {
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let raw = LargeBinaryArray::from_iter_values([deep.as_bytes(), b"{\"metadata\": [1]", b"[]"]);
    for (syntax, text) in [(Syntax::JsonPath, "$.metadata"), (Syntax::Jq, ".metadata")] {
        let selector = Selector::new(&[text.to_owned()], &[], syntax, false).unwrap();
        let Selection { kept, errors, .. } = selector.select(&Documents::new(&raw, &[], &[]).unwrap());
        assert_eq!(kept.null_count(), 3);
        assert!(errors[0].1.starts_with("recursion limit exceeded"), "{errors:?}");
        assert!(errors[1].1.starts_with("EOF while parsing"), "{errors:?}");
    }
    // What no expression reads may be as deep as it likes.
    let selector = Selector::new(&[], &["$.attributes.a".to_owned()], Syntax::JsonPath, false).unwrap();
    assert!(selector.select(&Documents::new(&raw.slice(0, 1), &[], &[]).unwrap()).kept.value(0));
}

#[test]
fn names_are_the_attributes_that_are_looked_up() {
    let names = |text: &str, syntax| Selector::new(&[text.to_owned()], &[], syntax, false).unwrap().names().to_vec();
    let path = "$.attributes[?(@.e__t__a && (@.dup[0][2] > 1 || !(@.b)) && $.metadata.x == 1)]";
    assert_eq!(names(path, Syntax::JsonPath), ["b", "dup", "e__t__a"]);
    assert_eq!(names("$.attributes.dup", Syntax::JsonPath), ["dup"]);
    assert_eq!(names("$.attributes['d']", Syntax::JsonPath), ["d"]);
    assert_eq!(names(".attributes.e__t__a[0][2] < 1 and .attributes?.dup != null", Syntax::Jq), ["dup", "e__t__a"]);
    assert_eq!(names(".attributes | length", Syntax::Jq), Vec::<String>::new());
}

#[test]
fn spans_are_found_in_every_shape() {
    let raw = raw(&[
        json!({"attributes": {"a": [[0, 2, 0.9], [3, 4, 0.1]], "b": [[5, 6, 1]]}}),
        json!({"attributes": {}}),
        json!({"attributes": {"a": "x"}}),
    ]);
    let documents = Documents::new(&raw, &[], &[]).unwrap();
    let find = |text: &str, syntax| {
        let SpanSelection { spans: found, errors, .. } =
            SpanSelector::new(text, syntax, false).unwrap().spans(&documents);
        let list = found.as_list::<i32>();
        assert_eq!(list.len(), 3);
        assert_eq!(list.value_length(1), 0);
        let spans = list.values().as_struct();
        let starts = spans.column(0).as_primitive::<Int64Type>().values().to_vec();
        let scores = spans.column(2).as_primitive::<Float64Type>().values().to_vec();
        (starts, scores, errors.len())
    };
    assert_eq!(find("$.attributes.a", Syntax::JsonPath), (vec![0, 3], vec![0.9, 0.1], 1));
    assert_eq!(find("$.attributes.a[?(@[2] > 0.5)]", Syntax::JsonPath), (vec![0], vec![0.9], 0));
    assert_eq!(find("$.attributes['a','b']", Syntax::JsonPath), (vec![0, 3, 5], vec![0.9, 0.1, 1.0], 1));
    assert_eq!(find(".attributes.a", Syntax::Jq), (vec![0, 3], vec![0.9, 0.1], 1));
    assert_eq!(find(".attributes.a[]? | select(.[2] < 0.5)", Syntax::Jq), (vec![3], vec![0.1], 0));
    let errors = SpanSelector::new("$.attributes.a", Syntax::JsonPath, false).unwrap().spans(&documents).errors;
    assert_eq!(errors, [(2, "expected [[start, end, score], ...], found \"x\"".to_owned())]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "[$@.\\[\\]?()!&|<>=~'\"\\\\a-c0-9,:* é-]{0,40}") {
        let document = json!({"a": {"b": [[0, 1, 0.5], [1, 2, "c"]], "c": null}});
        if let Ok(path) = jsonpath::parse(&text) {
            evaluate::find(&path, &document, &Numbers::default());
            names::fields(&path);
        }
        if let Ok(program) = jq::Program::new(&text, text.len() % 2 == 0) {
            let _ = program.run(jq::value(&document));
        }
    }

    /// Reading only the fields that a path names changes nothing of what it finds.
    #[test]
    fn projection_is_safe(
        path in prop::sample::select(vec![
            "$.a", "$.a.b", "$..b", "$[?(@.a)]", "$[?(@.a && $.b)].b", "$.*", "$", "$.b[?($.a.b == @)]", "$['a','b']",
            "$.length()", "$[?(@.c == $)]", "$.a[?(@.b || !@.c)]",
        ]),
        a in prop::option::of(0..2), b in prop::option::of(0..2), c in prop::option::of(0..2),
    ) {
        let document = json!({"a": {"b": a, "c": b}, "b": b, "c": c});
        let line = raw(std::slice::from_ref(&document));
        let parsed = jsonpath::parse(path).unwrap();
        let fields = names::fields(&parsed);
        let seen = Documents::new(&line, &[], &[]).unwrap().get(0, &Wanted { fields, attributes: None }).unwrap();
        let whole = evaluate::find(&parsed, &document, &Numbers::default());
        prop_assert_eq!(evaluate::find(&parsed, &seen, &Numbers::default()), whole);
    }
}

#[test]
fn only_the_attributes_that_paths_name_are_wanted() {
    let of = |paths: &[&str]| Selector::new(&[], &texts(paths), Syntax::JsonPath, false).unwrap().wanted.attributes;
    let keys = |names: &[&str]| Some(texts(names));
    assert_eq!(of(&["$.attributes[?(@.a && @.a[0] && @.b[0][2] < 1)]"]), keys(&["a", "a", "b"]));
    assert_eq!(of(&["$@.attributes[?(!@.a)]", "$.attributes.c[0][2]"]), keys(&["a", "c"]));
    assert_eq!(of(&["$[?(@.id == 'x')]", "$.attributes[?($.attributes.d)]"]), keys(&["d"]));
    for all in ["$..a", "$.attributes.*", "$.attributes[?(@.a == $.attributes)]", "$.*", "$[?(@.attributes)]"] {
        assert_eq!(of(&["$.attributes.c", all]), None, "{all}");
    }
}

const PATHS: [&str; 8] = [
    "$.attributes[?(@.a && @.a[0] && @.a[0][2] < 1)]",
    "$.attributes[?(!@.a)]",
    "$.attributes[?(@.a[0][2] != 1 || @.b)]",
    "$.attributes.a[?(@[2] > 0.5)]",
    "$.attributes['a','b']",
    "$.attributes.*",
    "$..c",
    "$.attributes[?(@.length() == 2)]",
];

proptest! {
    /// Leaving out what no path names changes no verdict.
    #[test]
    fn verdicts_do_not_depend_on_what_is_left_out(
        path in prop::sample::select(&PATHS[..]),
        scores in prop::collection::btree_map("[a-d]", prop::option::of(0u8..3), 0..4),
    ) {
        let attributes: serde_json::Map<String, Value> = scores
            .into_iter()
            .map(|(key, score)| (key, score.map_or(json!([]), |s| json!([[0, 1, f64::from(s) / 2.0]]))))
            .collect();
        let raw = raw(&[json!({"id": "1", "text": "x"})]);
        let beside = [raw_bytes(&Value::Object(attributes))];
        let documents = Documents::new(&raw, &beside, &[]).unwrap();
        let mut selector = Selector::new(&texts(&[path]), &[], Syntax::JsonPath, false).unwrap();
        let pruned = selector.select(&documents).kept;
        selector.wanted = Wanted::default();
        prop_assert_eq!(pruned, selector.select(&documents).kept);
    }
}

fn raw_bytes(value: &Value) -> LargeBinaryArray {
    std::iter::once(Some(value.to_string().into_bytes())).collect()
}

/// What a strict jq program says of one document: kept, or the error.
fn strictly(program: &str, document: &Value) -> std::result::Result<bool, String> {
    let raw = raw(std::slice::from_ref(document));
    let selector = Selector::new(&texts(&[program]), &[], Syntax::Jq, true).unwrap();
    let found = selector.select(&Documents::new(&raw, &[], &[]).unwrap());
    match found.errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(found.kept.value(0)),
    }
}

#[test]
fn a_strict_program_cannot_index_null() {
    let document = json!({"a": {"b": [{"c": 1}]}, "n": null, "k": "a", "f": "b", "t": "abc"});
    for (program, wanted) in [
        (".n.x", Err("jq `.n.x`: cannot index null with \"x\"")),
        (".missing.x != null", Err("jq `.missing.x != null`: cannot index null with \"x\"")),
        (".missing[0]", Err("jq `.missing[0]`: cannot index null with 0")),
        (".n|first", Err("jq `.n|first`: cannot index null with 0")),
        (".n|last", Err("jq `.n|last`: cannot index null with -1")),
        (".n|{x}", Err("jq `.n|{x}`: cannot index null with \"x\"")),
        ("getpath([\"n\", \"x\"])", Err("jq `getpath([\"n\", \"x\"])`: cannot index null with \"x\"")),
        ("[.a.b[].c.d]", Err("jq `[.a.b[].c.d]`: cannot index 1 with \"d\"")),
        (".n.x?", Ok(false)),
        ("[.n.x?] == []", Ok(true)),
        ("[.n[]?] == []", Ok(true)),
        (".n?.x? // 3 | . == 3", Ok(true)),
        (".a.b[0].c == 1 and (.missing | not)", Ok(true)),
        (".[.k][.f][-1].c == 1", Ok(true)),
        (".a.b[0:1] | length == 1", Ok(true)),
        (".t[1:] == \"bc\"", Ok(true)),
        ("\"x\\(.k)\\n\" == \"xa\\n\"", Ok(true)),
        ("reduce .a.b[] as $x (0; . + $x.c) | . == 1", Ok(true)),
        ("def f($x; g): $x + (. | g); f(1; 2) == 3", Ok(true)),
        ("if .a then .a.b | length > 0 else error end", Ok(true)),
        ("try error(\"x\") catch . == \"x\"", Ok(true)),
        ("(.a.b |= map(.c + 1)) | .a.b == [2]", Ok(true)),
        ("(.a.b[0].c += 1) | .a.b[0].c == 2", Ok(true)),
        ("label $out | (.a, break $out) | has(\"b\")", Ok(true)),
        (".a as {b: [{$c}]} | $c == 1", Ok(true)),
        ("{k, \"x\": 1, (.f): 2, a: .a.b} | .k == \"a\" and .b == 2", Ok(true)),
        ("-(.a.b[0].c) < 0 and (.k | @base64 == \"YQ==\")", Ok(true)),
        ("[.. | numbers] == [1]", Ok(true)),
        (".t | test(\"B\"; \"i\")", Ok(true)),
        (".a.b | to_entries | map(.value.c) == [1]", Ok(true)),
        ("[paths] | length > 4", Ok(true)),
        ("any(.a.b[]; .c == 1) and all(.a.b[]; .c > 0)", Ok(true)),
        ("[1, 2, 3] | (.[1:] | add) == 5 and index(2) == 1", Ok(true)),
    ] {
        assert_eq!(strictly(program, &document), wanted.map_err(str::to_owned), "{program}");
    }
}

#[test]
fn a_program_that_is_not_strict_gives_null_for_null() {
    assert_eq!(select(&[".n.x == null and .missing[0] == null"], &[], Syntax::Jq, &[json!({"n": null})]), [Some(true)]);
}

fn spelled(include: &[&str], exclude: &[&str], syntax: Syntax, documents: &[Value]) -> (Vec<Option<bool>>, usize) {
    let raw = raw(documents);
    let selector = Selector::new(&texts(include), &texts(exclude), syntax, true).unwrap();
    let found = selector.select(&Documents::new(&raw, &[], &[]).unwrap());
    (found.kept.iter().collect(), found.spelled)
}

#[test]
fn documents_that_dolma_judges_by_the_spelling_of_numbers_are_counted() {
    let path = "$.attributes[?(@.a[0][2] >= 1.0)]";
    let scores = [json!(1), json!(1.0), json!(2), json!(0.5), json!(0)].map(|s| scored("a", s));
    let (kept, differ) = spelled(&[], &[path], Syntax::JsonPath, &scores);
    assert_eq!(kept, [Some(false), Some(false), Some(false), Some(true), Some(true)]);
    // Dolma finds that `1` is neither above nor equal to `1.0`.
    assert_eq!(differ, 1);
    // Where the other side of an `or` holds anyway, the spelling decides nothing.
    let both = "$.attributes[?(@.a[0][2] >= 1.0 || @.a[0][1] == 1)]";
    assert_eq!(spelled(&[both], &[], Syntax::JsonPath, &scores[..1]), (vec![Some(true)], 0));
    let documents = [json!({"n": 0.0}), json!({"n": 0}), json!({"n": 1.0})];
    assert_eq!(spelled(&[".n"], &[], Syntax::Jq, &documents), (vec![Some(false), Some(false), Some(true)], 1));
}

#[test]
fn a_replacement_is_the_one_string_that_its_program_gives() {
    let document = json!({"id": "1", "metadata": {"url": "u", "n": 5}, "attributes": {"a": "own"}});
    let raw = raw(std::slice::from_ref(&document));
    let documents = Documents::new(&raw, &[], &[]).unwrap();
    let made = |program: &str| {
        let (strings, errors) = Replacement::new(program, true).unwrap().strings(&documents, &[0]);
        (strings[0].clone(), errors.first().map(|e| e.1.clone()))
    };
    for (program, wanted) in [
        (".metadata.url", "u"),
        (".metadata | .url", "u"),
        ("(.id+\"x\")", "1x"),
        (".metadata.n | tostring", "5"),
        ("\"$5\"", "$5"),
        (".missing // \"none\"", "none"),
        (".attributes.a", "own"),
    ] {
        assert_eq!(made(program), (Some(wanted.to_owned()), None), "{program}");
    }
    for (program, found) in [
        (".metadata.n", "expected one string, found 5"),
        (".missing", "expected one string, found null"),
        (".missing.url", "cannot index null with \"url\""),
        ("empty", "expected one string, found nothing"),
        (".id, .id", "expected one string, found 2 values"),
    ] {
        assert_eq!(made(program), (None, Some(format!("jq `{program}`: {found}"))), "{program}");
    }
    assert_eq!(Replacement::new(".id", true).unwrap().strings(&documents, &[7]).1.len(), 1);
}
