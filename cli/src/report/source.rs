//! The lines of the user's source that nodes come from, if the files are there.

use ir::Loc;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A line with some around it.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(super) struct SourceLines {
    /// The number of the first line, from 1.
    first: usize,
    lines: Vec<String>,
}

/// How many lines before and after one are shown.
const AROUND: usize = 3;
/// A file that is larger is no source that somebody wrote.
const MOST_BYTES: u64 = 4 << 20;
/// A line is cut there: a graph's constants would fill the page.
const MOST_CHARS: usize = 240;

/// The lines around each place, by the place as text. Files are looked for from the folder that the command runs in, as compilers name them; places in files that aren't there
/// are left out.
pub(super) fn read<'p>(places: impl Iterator<Item = &'p str>) -> BTreeMap<String, SourceLines> {
    let mut files: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for place in places {
        if found.contains_key(place) {
            continue;
        }
        let Ok(loc) = place.parse::<Loc>() else { continue };
        let lines = files.entry(loc.file.to_string()).or_insert_with(|| lines_of(Path::new(&*loc.file)));
        let at = (loc.line as usize).saturating_sub(1);
        if let Some(lines) = lines.as_ref().filter(|lines| at < lines.len()) {
            let (first, end) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(lines.len()));
            found.insert(place.to_string(), SourceLines { first: first + 1, lines: lines[first..end].to_vec() });
        }
    }
    found
}

fn lines_of(path: &Path) -> Option<Vec<String>> {
    let is_small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MOST_BYTES);
    let text = fs::read_to_string(path).ok().filter(|_| is_small)?;
    Some(text.lines().map(|line| line.chars().take(MOST_CHARS).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_around_a_place_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rs");
        fs::write(&path, "1\n2\n3\n4\n5\n6\n").unwrap();
        let place = |line: u32| format!("{}:{line}:1", path.display());
        let (first, fifth, none) = (place(1), place(5), place(9));
        let found = read([first.as_str(), &fifth, &none, "no/such.rs:1:1", "nothing"].into_iter());
        assert_eq!(found.keys().collect::<Vec<_>>(), [&first, &fifth]);
        assert_eq!((found[&first].first, found[&first].lines.len()), (1, 4));
        assert_eq!((found[&fifth].first, found[&fifth].lines.join("")), (2, "23456".into()));
    }
}
