//! The page at `/`: models, a form to try one, latencies. One file that asks nobody but this server.

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;

const FRAME: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("page.js");

/// What the browser may do: run what stands in the page itself, and ask this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's address.
pub fn router() -> Router {
    let page = FRAME.replace("{{script}}", SCRIPT);
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Router::new().route("/", get(move || async move { (headers, Html(page)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is fetched from elsewhere: no address but the name of SVG.
    #[test]
    fn the_page_is_one_file() {
        let page = FRAME.replace("{{script}}", SCRIPT);
        assert!(!page.contains("{{") && page.contains("\"use strict\""));
        let addresses: Vec<&str> = page.split("//").skip(1).collect();
        let elsewhere =
            addresses.iter().filter(|rest| !rest.starts_with("www.w3.org/2000/svg") && !rest.starts_with(' '));
        assert_eq!(elsewhere.count(), 0);
        assert!(!page.contains("src=") && !page.contains("innerHTML"));
    }
}
