//! The page of a report: its frame and its scripts.

use crate::page;

const FRAME: &str = include_str!("page/frame.html");
/// In the order in which they run: each adds to what the first one defines.
const SCRIPTS: [&str; 7] = [
    page::COMMON,
    include_str!("page/graph.js"),
    include_str!("page/memory.js"),
    include_str!("page/passes.js"),
    include_str!("page/roofline.js"),
    include_str!("page/kernels.js"),
    include_str!("page/main.js"),
];

/// The page of a report: the title as plain text, the data as JSON.
pub(super) fn page(title: &str, data: &str) -> String {
    page::page(FRAME, title, data, &SCRIPTS)
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
