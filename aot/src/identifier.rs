//! Names of ports and states as C's identifiers.

use std::collections::BTreeSet;

/// Whether C takes a text for a name.
pub(crate) fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A name as C's: other characters become `_`, and what others have already, or C has for itself, gets a number.
pub(crate) fn identifiers<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut taken: BTreeSet<String> = RESERVED.iter().map(|word| (*word).to_owned()).collect();
    let mut all = vec![];
    for name in names {
        let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() {
            plain.insert(0, '_');
        }
        let numbered = (2..).map(|n| format!("{plain}_{n}"));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or(plain);
        taken.insert(free.clone());
        all.push(free);
    }
    all
}

/// Words that name something in C or C++.
const RESERVED: [&str; 30] = [
    "auto", "bool", "break", "case", "char", "class", "const", "default", "delete", "do", "double", "else", "enum",
    "float", "for", "if", "int", "long", "new", "register", "return", "short", "signed", "static", "struct", "switch",
    "this", "union", "void", "while",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_that_differ() {
        let names = identifiers(["a/b", "a.b", "int", "2x", "x"]);
        assert_eq!(names, ["a_b", "a_b_2", "int_2", "_2x", "x"]);
        assert!(names.iter().all(|name| is_identifier(name)));
        assert!(["", "1a", "a-b", "ü"].iter().all(|name| !is_identifier(name)));
    }
}
