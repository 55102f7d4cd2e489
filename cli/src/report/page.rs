//! The page: its frame, its style, its scripts, and the data, in one text.

const FRAME: &str = include_str!("page/frame.html");
const STYLE: &str = include_str!("page/style.css");
/// In the order in which they run: each adds to what the first one defines.
const SCRIPTS: [&str; 7] = [
    include_str!("page/common.js"),
    include_str!("page/graph.js"),
    include_str!("page/memory.js"),
    include_str!("page/passes.js"),
    include_str!("page/roofline.js"),
    include_str!("page/kernels.js"),
    include_str!("page/main.js"),
];

/// The page of a report: the title as plain text, the data as JSON.
pub(super) fn page(title: &str, data: &str) -> String {
    let mut page = String::with_capacity(FRAME.len() + STYLE.len() + data.len() + (64 << 10));
    let mut rest = FRAME;
    // What is put in isn't looked into for further places.
    while let Some((before, (name, after))) = rest.split_once("{{").and_then(|(b, a)| Some((b, a.split_once("}}")?))) {
        page += before;
        match name {
            "title" => page += &escaped(title),
            "style" => page += STYLE,
            "data" => page += &inert(data),
            "scripts" => SCRIPTS.iter().for_each(|script| page += script),
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
        let page = page("a</title>{{data}}", r#"{"name": "</script><script>alert(1)</script>{{style}}"}"#);
        assert!(page.contains("<title>a&lt;/title&gt;{{data}}"), "{page}");
        assert!(!page.contains("</script><script>alert") && page.contains(r"\u003c/script>"));
        assert_eq!(page.matches(STYLE).count(), 1);
    }

    /// Nothing is fetched: no address but the names of SVG and of what the page was made by.
    #[test]
    fn the_page_is_a_file_by_itself() {
        let page = page("t", "{}");
        let addresses = page.matches("://").count();
        assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count());
        for way in ["src=", "<link", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
            assert!(!page.contains(way), "{way}");
        }
    }
}
