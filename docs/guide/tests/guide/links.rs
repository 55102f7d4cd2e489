//! The book is whole: SUMMARY.md has every chapter, and links lead somewhere.

use super::chapters;
use std::collections::BTreeSet;
use std::path::Path;

/// The targets of links and pictures of a page, without those in blocks of code.
fn targets(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in markdown.lines() {
        code ^= line.starts_with("```");
        let mut rest = line;
        while let Some(at) = rest.find("](").filter(|_| !code) {
            rest = &rest[at + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push(rest[..end].to_string());
        }
    }
    found
}

/// The anchors that a page's headings have in the book and on pages of repositories.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut code = false;
    for line in markdown.lines() {
        code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !code) {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(chapters()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for target in targets(&text).iter().filter(|target| !target.starts_with("https://")) {
            let (file, anchor) = target.split_once('#').map_or((target.as_str(), None), |(f, a)| (f, Some(a)));
            let file = if file.is_empty() { path.clone() } else { chapters().join(file) };
            let there = match (file.exists(), anchor) {
                (true, Some(anchor)) => anchors(&std::fs::read_to_string(&file).unwrap()).contains(anchor),
                (there, _) => there,
            };
            if !there {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// `mdbook build` takes what SUMMARY.md names: each chapter once, none that isn't there.
#[test]
fn the_summary_has_every_chapter() {
    let summary = std::fs::read_to_string(chapters().join("SUMMARY.md")).unwrap();
    let mut listed = targets(&summary);
    listed.sort();
    let mut there: Vec<String> = std::fs::read_dir(chapters())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().to_string())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "md") && name != "SUMMARY.md")
        .collect();
    there.sort();
    assert_eq!(listed, there);
    for line in summary.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let entry = line.trim_start().trim_start_matches("- ");
        assert!(entry.starts_with('[') && entry.ends_with(".md)"), "mdBook doesn't read `{line}`");
    }
}
