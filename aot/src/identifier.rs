//! Names of ports and states as C's identifiers.

use std::collections::BTreeSet;

/// Whether C takes a text for a name.
pub(crate) fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A name as C's: other characters become `_`, and what others have already, in whichever case (macros have capitals), or C has for itself, gets a number.
pub(crate) fn identifiers<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut taken: BTreeSet<String> = RESERVED.iter().map(|word| word.to_uppercase()).collect();
    let mut all = vec![];
    for name in names {
        let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() {
            plain.insert(0, '_');
        }
        let numbered = (2..).map(|n| format!("{plain}_{n}"));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(&name.to_uppercase()));
        let free = free.unwrap_or(plain);
        taken.insert(free.to_uppercase());
        all.push(free);
    }
    all
}

/// Words that name something in C or C++, and what would make a macro of a state (`STATE_BYTES`) one that there is.
const RESERVED: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "bytes",
    "case",
    "catch",
    "char",
    "char8_t",
    "char16_t",
    "char32_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "typeof_unqual",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_that_differ() {
        let names = identifiers(["a/b", "a.b", "int", "2x", "x"]);
        assert_eq!(names, ["a_b", "a_b_2", "int_2", "_2x", "x"]);
        assert!(names.iter().all(|name| is_identifier(name)));
        assert_eq!(
            identifiers(["a/w", "A/w", "A_W", "bytes", "operator"]),
            ["a_w", "A_w_2", "A_W_3", "bytes_2", "operator_2"]
        );
        assert!(["", "1a", "a-b", "ü"].iter().all(|name| !is_identifier(name)));
    }
}
