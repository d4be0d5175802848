//! jq programs rewritten to fail where Dolma 1.2.1's do: its jq cannot index null.
//!
//! Standard jq gives null for `null.b` and `null[0]`. Here every index, also the one in `first` or in `getpath`, is
//! preceded by a check of what is indexed. The program is parsed, printed with these checks, and compiled as usual.

use std::fmt::Write;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Opt, Part};

/// What the rewritten program calls, and the library's filters that index, with the check.
const PRELUDE: &str = r#"
def __strict($key): if . == null then error("cannot index null with \($key | tojson)") else . end;
def first: __strict(0) | .[0];
def last: __strict(-1) | .[-1];
def nth(n): n as $n | __strict($n) | .[$n];
def getpath($path): reduce $path[] as $p (.; __strict($p) | .[$p]);
def index($i): __strict($i) | indices($i) | .[0];
def rindex($i): __strict($i) | indices($i) | .[-1];
"#;
/// The input of a path, whose indexes are evaluated on it.
const INPUT: &str = "$__input";

/// `text` with the checks; None if it does not parse.
pub fn rewrite(text: &str) -> Option<String> {
    let term = jaq_core::load::parse(text, |parser| parser.term())?;
    let mut out = PRELUDE.to_owned();
    print(&term, &mut out);
    Some(out)
}

fn print(term: &Term<&str>, out: &mut String) {
    match term {
        Term::Id => out.push('.'),
        Term::Recurse => out.push_str(".."),
        Term::Num(text) | Term::Var(text) => out.push_str(text),
        Term::Str(format, parts) => string(*format, parts, out),
        Term::Arr(None) => out.push_str("[]"),
        Term::Arr(Some(inner)) => enclosed("[", inner, "]", out),
        Term::Obj(entries) => object(entries, out),
        Term::Neg(inner) => enclosed("-(", inner, ")", out),
        Term::BinOp(left, operation, right) => {
            enclosed("(", left, ")", out);
            operator(operation, out);
            enclosed("(", right, ")", out);
        }
        Term::Label(name, inner) => {
            let _ = write!(out, "label {name} | ");
            print(inner, out);
        }
        Term::Break(name) => {
            let _ = write!(out, "break {name}");
        }
        Term::Fold(name, values, pattern, arguments) => {
            let _ = write!(out, "{name} ");
            enclosed("(", values, ") as ", out);
            bind(pattern, out);
            listed(arguments, out);
        }
        Term::TryCatch(inner, catch) => {
            enclosed("try (", inner, ")", out);
            if let Some(catch) = catch {
                enclosed(" catch (", catch, ")", out);
            }
        }
        Term::IfThenElse(branches, otherwise) => {
            for (i, (condition, then)) in branches.iter().enumerate() {
                enclosed(if i == 0 { "if " } else { " elif " }, condition, " then ", out);
                print(then, out);
            }
            if let Some(otherwise) = otherwise {
                enclosed(" else ", otherwise, "", out);
            }
            out.push_str(" end");
        }
        Term::Def(definitions, inner) => {
            definitions.iter().for_each(|d| definition(d, out));
            print(inner, out);
        }
        Term::Call(name, arguments) => {
            out.push_str(name);
            if !arguments.is_empty() {
                listed(arguments, out);
            }
        }
        Term::Path(start, path) => steps(start, &path.0, out),
    }
}

fn enclosed(before: &str, term: &Term<&str>, after: &str, out: &mut String) {
    out.push_str(before);
    print(term, out);
    out.push_str(after);
}

fn listed(terms: &[Term<&str>], out: &mut String) {
    for (i, term) in terms.iter().enumerate() {
        enclosed(if i == 0 { "(" } else { "; " }, term, "", out);
    }
    out.push(')');
}

fn definition(definition: &Def<&str>, out: &mut String) {
    let _ = write!(out, "def {}", definition.name);
    if !definition.args.is_empty() {
        let _ = write!(out, "({})", definition.args.join("; "));
    }
    enclosed(": ", &definition.body, "; ", out);
}

fn string(format: Option<&str>, parts: &[StrPart<&str, Term<&str>>], out: &mut String) {
    if let Some(format) = format {
        let _ = write!(out, "{format} ");
    }
    out.push('"');
    for part in parts {
        match part {
            StrPart::Str(text) => out.push_str(text),
            StrPart::Term(inner) => enclosed("\\(", inner, ")", out),
            StrPart::Char(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn object(entries: &[(Term<&str>, Option<Term<&str>>)], out: &mut String) {
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        match (key, value) {
            (Term::Var(name), None) => out.push_str(name),
            (key, Some(value)) => {
                enclosed("(", key, "): (", out);
                enclosed("", value, ")", out);
            }
            (key, None) => {
                enclosed("(", key, "): (", out);
                steps(&Term::Id, &[(Part::Index(key.clone()), Opt::Essential)], out);
                out.push(')');
            }
        }
    }
    out.push('}');
}

fn operator(operation: &BinaryOp<&str>, out: &mut String) {
    match operation {
        BinaryOp::Pipe(None) => out.push_str(" | "),
        BinaryOp::Pipe(Some(pattern)) => {
            out.push_str(" as ");
            bind(pattern, out);
            out.push_str(" | ");
        }
        BinaryOp::Comma => out.push_str(", "),
        BinaryOp::Alt => out.push_str(" // "),
        BinaryOp::Or => out.push_str(" or "),
        BinaryOp::And => out.push_str(" and "),
        BinaryOp::Math(sign) => {
            let _ = write!(out, " {} ", sign.as_str());
        }
        BinaryOp::Cmp(sign) => {
            let _ = write!(out, " {} ", sign.as_str());
        }
        BinaryOp::Assign => out.push_str(" = "),
        BinaryOp::Update => out.push_str(" |= "),
        BinaryOp::UpdateMath(sign) => {
            let _ = write!(out, " {}= ", sign.as_str());
        }
        BinaryOp::UpdateAlt => out.push_str(" //= "),
    }
}

/// A pattern is printed as it is: what it takes apart is not checked.
fn bind(pattern: &Pattern<&str>, out: &mut String) {
    match pattern {
        Pattern::Var(name) => out.push_str(name),
        Pattern::Arr(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                bind(item, out);
            }
            out.push(']');
        }
        Pattern::Obj(fields) => {
            out.push('{');
            for (i, (key, value)) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                enclosed("(", key, "): ", out);
                bind(value, out);
            }
            out.push('}');
        }
    }
}

/// `start` and the parts of a path, each index after a check.
fn steps(start: &Term<&str>, parts: &[(Part<Term<&str>>, Opt)], out: &mut String) {
    let _ = write!(out, "(. as {INPUT} | ");
    enclosed("(", start, ")", out);
    for (part, opt) in parts {
        let mark = if matches!(opt, Opt::Optional) { "?" } else { "" };
        match part {
            Part::Index(key) => {
                // Each output of the key is one index.
                let _ = write!(out, " | ({INPUT} | (");
                print(key, out);
                let _ = write!(out, ")) as $__key | (__strict($__key) | .[$__key]){mark}");
            }
            Part::Range(None, None) => {
                let _ = write!(out, " | .[]{mark}");
            }
            Part::Range(from, to) => {
                out.push_str(" | .[");
                from.iter().for_each(|f| bound(f, out));
                out.push(':');
                to.iter().for_each(|t| bound(t, out));
                let _ = write!(out, "]{mark}");
            }
        }
    }
    out.push(')');
}

fn bound(term: &Term<&str>, out: &mut String) {
    let _ = write!(out, "({INPUT} | (");
    print(term, out);
    out.push_str("))");
}
