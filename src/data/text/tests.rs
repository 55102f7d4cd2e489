//! Tests of tokens, vocabularies, rows of ids, files, windows.

use super::*;
use crate::data::DataError;

fn vocabulary() -> Vocabulary {
    Vocabulary::build(Rule::Words, ["b a b", "c, A! b"], 100).unwrap()
}

fn error<T: std::fmt::Debug>(result: Result<T, TextError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn words_are_runs_of_letters_and_digits_in_lower_case() {
    let words: Vec<_> = Rule::Words.tokens("Don't: 3 Ünits, \"naïve\"--x2").collect();
    assert_eq!(words, ["don", "t", "3", "ünits", "naïve", "x2"]);
    assert_eq!(Rule::Words.tokens(" .,\n").count(), 0);
    let chars: Vec<_> = Rule::Chars.tokens("Aé\n").collect();
    assert_eq!(chars, ["A", "é", "\n"]);
}

#[test]
fn ids_go_by_frequency_then_by_code_points() {
    let vocabulary = vocabulary();
    assert_eq!((2..6).map(|id| vocabulary.token(id)).collect::<Vec<_>>(), [Some("b"), Some("a"), Some("c"), None]);
    assert_eq!((vocabulary.size(), vocabulary.id("a"), vocabulary.id("d")), (5, 3, UNKNOWN));
    assert_eq!((vocabulary.token(PADDING), vocabulary.token(UNKNOWN), vocabulary.token(-1)), (None, None, None));
    let small = Vocabulary::build(Rule::Words, ["b a b", "c, A! b"], 4).unwrap();
    assert_eq!((small.size(), small.id("c")), (4, UNKNOWN));
}

#[test]
fn a_text_comes_back_from_its_ids() {
    let text = "Call me Ishmael.\nSome years ago";
    let chars = Vocabulary::build(Rule::Chars, [text], 1000).unwrap();
    assert_eq!(chars.decode(&chars.encode(text)).unwrap(), text);
    assert_eq!(vocabulary().decode(&[2, UNKNOWN, 3, PADDING]).unwrap(), "b \u{fffd} a");
    assert_eq!(error(vocabulary().decode(&[2, 9])), "id 9 at position 1: the vocabulary has 5 ids");
    assert_eq!(error(vocabulary().decode(&[-3])), "id -3 at position 0: the vocabulary has 5 ids");
}

#[test]
fn a_vocabulary_comes_back_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vocabulary.json");
    let saved = Vocabulary::build(Rule::Chars, ["\"quoted\" \\ \u{2028} é"], 100).unwrap();
    saved.save(&path).unwrap();
    assert_eq!(Vocabulary::load(&path).unwrap(), saved);
    let cases = [
        ("{}", "its format is null"),
        (r#"{"format": "gradc-vocabulary-1", "rule": "bytes", "tokens": ["a"]}"#, "no such rule: \"bytes\""),
        (r#"{"format": "gradc-vocabulary-1", "rule": "words", "tokens": []}"#, "no list `tokens`"),
        (r#"{"format": "gradc-vocabulary-1", "rule": "words", "tokens": ["a", "a"]}"#, "stands in it twice"),
        (r#"{"format": "gradc-vocabulary-1", "rule": "words", "tokens": ["A b"]}"#, "\"A b\" is no token"),
        (r#"{"format": "gradc-vocabulary-1", "rule": "words", "tokens": [1]}"#, "a token is no text"),
        ("{", "EOF"),
    ];
    for (text, want) in cases {
        std::fs::write(&path, text).unwrap();
        let found = error(Vocabulary::load(&path));
        assert!(found.contains("vocabulary.json") && found.contains(want), "{found} lacks {want}");
    }
    assert!(matches!(Vocabulary::load(dir.path().join("none")), Err(TextError::Data(DataError::Io { .. }))));
}

#[test]
fn rows_are_padded_and_cut_at_the_end_that_was_asked_for() {
    let vocabulary = vocabulary();
    let texts = ["a", "a b c a"];
    let post = Encoder::new(3).encode(&vocabulary, texts).unwrap();
    assert_eq!(post.ids, [3, 0, 0, 3, 2, 4]);
    assert_eq!((post.lengths.clone(), post.mask.clone()), (vec![1, 3], vec![true, false, false, true, true, true]));
    assert_eq!(post.column().unwrap().sample().to_string(), "i32[3]");
    assert_eq!(post.mask_column().unwrap().sample().to_string(), "bool[3]");
    let pre = Encoder::new(3).padding(Side::Pre).truncation(Side::Pre).encode(&vocabulary, texts).unwrap();
    assert_eq!(pre.ids, [0, 0, 3, 2, 4, 3]);
    assert_eq!(pre.mask, [false, false, true, true, true, true]);
}

#[test]
fn what_makes_no_row_is_an_error() {
    let vocabulary = vocabulary();
    assert!(error(Encoder::new(0).encode(&vocabulary, ["a"])).contains("length 0"));
    assert!(error(Encoder::new(2).encode(&vocabulary, [])).contains("no texts"));
    assert_eq!(
        error(Encoder::new(2).encode(&vocabulary, ["a", " ?!"])),
        "text 1 has no token by the rule `words`: \" ?!\" (leave it out, or encode with `empty_as_unknown`)"
    );
    let long = error(Encoder::new(2).refuse_long().encode(&vocabulary, ["a b c"]));
    assert!(long.starts_with("text 0 has 3 tokens, more than the 2 of a row"), "{long}");
    let unknown = Encoder::new(2).empty_as_unknown().encode(&vocabulary, ["?"]).unwrap();
    assert_eq!((unknown.ids, unknown.lengths), (vec![UNKNOWN, PADDING], vec![1]));
    assert!(error(Vocabulary::build(Rule::Words, ["..."], 10)).contains("no words"));
    assert!(error(Vocabulary::build(Rule::Words, ["a"], 2)).contains("at most 2 ids"));
}

#[test]
fn labelled_texts_are_lines_with_a_tab() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mails.tsv");
    let read = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        read_labelled(&path, &SPAM_CLASSES)
    };
    let found = read("spam\t\"Buy, now\nham\t\nham\tnaïve \"q\"\n".as_bytes()).unwrap();
    assert_eq!(found.texts, ["\"Buy, now", "", "naïve \"q\""]);
    assert_eq!(found.labels, [1, 0, 0]);
    assert!(
        error(read(b"ham\ta\neggs\tb\n")).ends_with("mails.tsv:2: the label \"eggs\" is none of [\"ham\", \"spam\"]")
    );
    assert!(
        error(read(b"ham\ta\nham\n")).contains("mails.tsv:2: a line is a label, a tab, a text; this one has 0 tabs")
    );
    assert!(error(read(b"ham\ta\tb\n")).contains("has 2 tabs"));
    let bad = error(read(b"ham\ta\nham\t\xff\n"));
    assert!(bad.contains("mails.tsv:2: not UTF-8"), "{bad}");
    assert!(error(read(b"")).contains("no line"));
    assert!(matches!(
        read_labelled(dir.path().join("none"), &SPAM_CLASSES),
        Err(TextError::Data(DataError::Io { .. }))
    ));
}

#[test]
fn windows_are_followed_by_the_next_token() {
    let ids: Vec<i32> = (0..8).collect();
    let data = next_token_windows(&ids, 3, 2).unwrap();
    let column = |name: &str| data.column(name).unwrap().value().to_f64_vec();
    assert_eq!(column("x"), [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0]);
    assert_eq!(column("y"), [1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0]);
    assert!(error(next_token_windows(&ids, 8, 1)).contains("8 ids make no window of 8"));
    assert!(error(next_token_windows(&ids, 0, 1)).contains("at least 1"));
    assert_eq!(next_token_windows(&ids, 7, 1).unwrap().len(), 1);
}

#[test]
fn lengths_that_no_memory_holds_are_errors_rather_than_the_end_of_the_process() {
    let ids: Vec<i32> = (0..8).collect();
    for (context, stride) in [(usize::MAX, 1), (usize::MAX, usize::MAX), (usize::MAX - 1, 1), (usize::MAX / 2, 1)] {
        assert!(error(next_token_windows(&ids, context, stride)).contains("8 ids make no window of"), "{context}");
    }
    assert_eq!(next_token_windows(&ids, 3, usize::MAX).unwrap().len(), 1);
    for length in [1 << 40, usize::MAX / 4, usize::MAX / 2, usize::MAX] {
        let failed = Encoder::new(length).encode(&vocabulary(), ["a"]).unwrap_err().to_string();
        assert!(failed.contains(&format!("1 rows of {length}: ")) && failed.contains("bytes"), "{failed}");
    }
}

#[test]
fn an_error_that_main_returns_is_shown_as_its_message() {
    let failed = Encoder::new(0).encode(&vocabulary(), ["a"]).unwrap_err();
    assert_eq!(format!("{failed:?}"), failed.to_string());
}
