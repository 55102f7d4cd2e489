//! Pages that are files by themselves: a frame, which all of them have, into which style, scripts and data are put.

const FRAME: &str = include_str!("page/frame.html");
const STYLE: &str = include_str!("page/style.css");
/// Elements, tables, numbers as text, and the data under the name `report`; a page's own scripts come after it.
const COMMON: &str = include_str!("page/common.js");

/// What a page has of its own.
pub(crate) struct PageParts<'p> {
    /// Plain text.
    pub(crate) title: &'p str,
    /// CSS behind that of all pages.
    pub(crate) style: &'p str,
    /// HTML below the title.
    pub(crate) header: &'p str,
    /// HTML of what is to be read.
    pub(crate) main: &'p str,
    /// JSON that the scripts know as `report`.
    pub(crate) data: &'p str,
    /// In the order in which they run.
    pub(crate) scripts: &'p [&'p str],
}

impl PageParts<'_> {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let mut page = String::with_capacity(FRAME.len() + STYLE.len() + self.data.len() + (64 << 10));
        let mut rest = FRAME;
        // What is put in isn't looked into for further places.
        while let Some((before, (name, after))) =
            rest.split_once("{{").and_then(|(b, a)| Some((b, a.split_once("}}")?)))
        {
            page += before;
            match name {
                "title" => page += &escaped(self.title),
                "style" => page.extend([STYLE, self.style]),
                "header" => page += self.header,
                "main" => page += self.main,
                "data" => page += &inert(self.data),
                "scripts" => page.extend([COMMON].iter().chain(self.scripts).copied()),
                _ => {}
            }
            rest = after;
        }
        page + rest
    }
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
        let page = PageParts {
            title: "a</title>{{data}}",
            style: "p {}",
            header: "<p>{{main}}</p>",
            main: "",
            data: r#"{"name": "</script><script>alert(1)</script>{{style}}"}"#,
            scripts: &["drawAll();"],
        };
        let page = page.html();
        assert!(page.contains("<title>a&lt;/title&gt;{{data}}") && page.contains("<p>{{main}}</p>"), "{page}");
        assert!(!page.contains("</script><script>alert") && page.contains(r"\u003c/script>"));
        assert_eq!((page.matches(STYLE).count(), page.matches("drawAll").count()), (1, 1));
    }
}
