//! Patterns of names, with stars.

/// What the stars of a pattern stand for, if it fits a text as a whole: `*` for any characters, none included, `?` for one. Where it fails, the last star takes a character more.
pub(crate) fn captures(pattern: &str, text: &str) -> Option<Vec<String>> {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where each star stands, and which characters it takes.
    let mut stars: Vec<(usize, usize, usize)> = Vec::new();
    let (mut p, mut t) = (0, 0);
    loop {
        match pattern.get(p) {
            Some('*') => {
                stars.push((p, t, t));
                p += 1;
            }
            None if t == text.len() => break,
            Some(c) if t < text.len() && (*c == '?' || *c == text[t]) => (p, t) = (p + 1, t + 1),
            _ => {
                let (at, _, end) = stars.last_mut().filter(|(_, _, end)| *end < text.len())?;
                *end += 1;
                (p, t) = (*at + 1, *end);
            }
        }
    }
    Some(stars.into_iter().map(|(_, from, to)| text[from..to].iter().collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, text, want) in [
            ("*/bias", "dense/bias", Some(vec!["dense"])),
            ("*/bias", "encoder/dense/bias", Some(vec!["encoder/dense"])),
            ("*/bias", "dense/bias_2", None),
            ("dense_?/*", "dense_1/kernel", Some(vec!["kernel"])),
            ("dense_?/*", "dense_10/kernel", None),
            ("*a*b", "xaybzb", Some(vec!["x", "ybz"])),
            ("", "", Some(vec![])),
            ("", "a", None),
            ("*", "", Some(vec![""])),
            ("dense", "dense/kernel", None),
            ("**", "anything", Some(vec!["", "anything"])),
            ("layer.*.fc.*", "layer.10.fc.weight", Some(vec!["10", "weight"])),
        ] {
            let want = want.map(|texts| texts.into_iter().map(String::from).collect());
            assert_eq!(captures(pattern, text), want, "{pattern} {text}");
        }
        // The last star alone is moved: no time that grows with the number of stars.
        assert_eq!(captures(&"*a".repeat(2000), &"a".repeat(1999)), None);
    }
}
