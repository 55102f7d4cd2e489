//! Pages that are files by themselves: a frame into which style, scripts and data are put.

/// What the pages have in common.
pub(crate) const STYLE: &str = include_str!("report/page/style.css");
/// Elements, tables, numbers as text, and the data under the name `report`; other scripts come after it.
pub(crate) const COMMON: &str = include_str!("report/page/common.js");

/// A page: in its frame `{{title}}`, which is plain text, `{{style}}`, `{{data}}`, which is JSON, and `{{scripts}}` are filled in.
pub(crate) fn page(frame: &str, title: &str, data: &str, scripts: &[&str]) -> String {
    let mut page = String::with_capacity(frame.len() + STYLE.len() + data.len() + (64 << 10));
    let mut rest = frame;
    // What is put in isn't looked into for further places.
    while let Some((before, (name, after))) = rest.split_once("{{").and_then(|(b, a)| Some((b, a.split_once("}}")?))) {
        page += before;
        match name {
            "title" => page += &escaped(title),
            "style" => page += STYLE,
            "data" => page += &inert(data),
            "scripts" => scripts.iter().for_each(|script| page += script),
            _ => {}
        }
        rest = after;
    }
    page + rest
}

/// JSON that no HTML element ends in: `<` stands in strings only, where it may be written as a number.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_t_end_what_they_stand_in() {
        let frame = "<title>{{title}}</title><style>{{style}}</style>{{data}}";
        let page = page(frame, "a</title>{{data}}", r#"{"name": "</script><script>alert(1)</script>{{style}}"}"#, &[]);
        assert!(page.contains("<title>a&lt;/title&gt;{{data}}"), "{page}");
        assert!(!page.contains("</script><script>alert") && page.contains(r"\u003c/script>"));
        assert_eq!(page.matches(STYLE).count(), 1);
    }
}
