//! The page of a report: its parts and their scripts.

use crate::page::PageParts;

const TABS: &str = include_str!("page/tabs.html");
const PARTS: &str = include_str!("page/parts.html");
/// In the order in which they run: each adds to what the first one defines.
const SCRIPTS: [&str; 6] = [
    include_str!("page/graph.js"),
    include_str!("page/memory.js"),
    include_str!("page/passes.js"),
    include_str!("page/roofline.js"),
    include_str!("page/kernels.js"),
    include_str!("page/main.js"),
];

/// The page of a report: the title as plain text, the data as JSON. Parts without data aren't shown.
pub(super) fn page(title: &str, data: &str) -> String {
    PageParts { title, style: "", header: TABS, main: PARTS, data, scripts: &SCRIPTS }.html()
}

#[cfg(test)]
mod tests {
    use super::*;

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
