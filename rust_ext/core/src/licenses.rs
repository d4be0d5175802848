//! Creative Commons licences that a page links to.

use std::sync::LazyLock;

use arrow_array::builder::{LargeStringBuilder, ListBuilder};
use arrow_array::{LargeStringArray, ListArray};
use memchr::memmem;
use regex::Regex;

/// A licence as the target of a link or the content of a `<meta>`, with version and language where they follow it.
const ATTRIBUTE: &str = concat!(
    r#"<(?:a|A|meta)\s[\w\p{P}\s=]*\n*(?:href|HREF|content)=(?:'|"|&quot;)?https*://creativecommons\.org/"#,
    r#"(?:licenses/(?P<licence>by(?:-nc)?(?:-nd)?(?:-sa)?)|(?P<public>publicdomain/(?:zero|certification|mark)))"#,
    r#"(?P<version>/\d+\.\d+)?(?:(?:/\w{2})?/(?:(?:deed|legalcode)\.)?(?P<lang>\w{2}))?.*?(?:'|"|&quot;).*?>"#,
);
/// A licence anywhere, without its version.
const ANYWHERE: &str =
    r#"https?://creativecommons\.org/licenses/(?P<licence>by-nc-sa|by-nc-nd|by-sa|by-nd|by-nc|by|publicdomain)["/ >]"#;
const SIGNS: [&str; 2] = ["creativecommons.org/licenses", "creativecommons.org/publicdomain"];

/// The licences of each page in order, as `by-sa_4.0_de`; none for null. `anywhere`: not only in links, and faster.
pub fn licenses(pages: &LargeStringArray, anywhere: bool) -> ListArray {
    static PATTERNS: LazyLock<[Option<Regex>; 2]> = LazyLock::new(|| [ATTRIBUTE, ANYWHERE].map(|p| Regex::new(p).ok()));
    let mut out = ListBuilder::new(LargeStringBuilder::new());
    let [attribute, plain] = &*PATTERNS;
    let pattern = if anywhere { plain } else { attribute };
    let finders = SIGNS.map(memmem::Finder::new);
    for page in pages.iter() {
        let page = page.filter(|p| finders.iter().any(|f| f.find(p.as_bytes()).is_some())).unwrap_or_default();
        for hit in pattern.iter().flat_map(|p| p.captures_iter(page)) {
            let group = |name| hit.name(name).map(|m| m.as_str().trim_matches('/'));
            let kind = group("licence").or_else(|| group("public")).unwrap_or_default();
            let parts: Vec<&str> = [Some(kind), group("version"), group("lang")].into_iter().flatten().collect();
            out.values().append_value(parts.join("_"));
        }
        out.append(true);
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;

    fn found(page: &str, anywhere: bool) -> Vec<String> {
        let list = licenses(&LargeStringArray::from(vec![page]), anywhere).value(0);
        list.as_string::<i64>().iter().flatten().map(str::to_owned).collect()
    }

    #[test]
    fn both_patterns() {
        let page = concat!(
            "<a rel='license' href=\"http://creativecommons.org/licenses/by-nc-sa/3.0/us/deed.de\">x</a>\n",
            "<meta name=\"l\" content=\"https://creativecommons.org/publicdomain/zero/1.0/\" >",
            "see https://creativecommons.org/licenses/by/4.0/"
        );
        assert_eq!(found(page, false), ["by-nc-sa_3.0_de", "publicdomain/zero_1.0"]);
        assert_eq!(found(page, true), ["by-nc-sa", "by"]);
        assert_eq!(found("creativecommons.org/licenses", false), Vec::<String>::new());
    }
}
