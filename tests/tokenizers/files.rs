//! Tokenizers in files: rows of ids, pairs, what is refused, and files that are damaged.

use damage::damage;
use gradc::data::text::{Encoder, Side, TextError, Tokenizer};
use gradc::ir::SplitMix64;
use std::path::PathBuf;
use tempfile::TempDir;

/// A tokenizer as BERT's are: a few words and parts of words, `[CLS]` before and `[SEP]` after.
fn wordpiece() -> String {
    let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "call", "me", "##ing", "sail", "##or", "."];
    let vocabulary: Vec<String> = vocabulary.iter().enumerate().map(|(i, token)| format!("{token:?}:{i}")).collect();
    let special = |id: usize, token: &str| {
        format!(
            r#"{{"id":{id},"content":"{token}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}"#
        )
    };
    let around = |token: &str, kind: usize| format!(r#"{{"SpecialToken":{{"id":"{token}","type_id":{kind}}}}}"#);
    let text = |of: &str, kind: usize| format!(r#"{{"Sequence":{{"id":"{of}","type_id":{kind}}}}}"#);
    let (cls, sep, second) = (around("[CLS]", 0), around("[SEP]", 0), around("[SEP]", 1));
    let ids = |id: usize, token: &str| format!(r#""{token}":{{"id":"{token}","ids":[{id}],"tokens":["{token}"]}}"#);
    format!(
        r###"{{"version":"1.0","truncation":{{"max_length":3,"strategy":"LongestFirst","stride":0}},"padding":null,
        "added_tokens":[{},{},{},{}],"normalizer":{{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}},
        "pre_tokenizer":{{"type":"BertPreTokenizer"}},
        "post_processor":{{"type":"TemplateProcessing","single":[{cls},{},{sep}],"pair":[{cls},{},{sep},{},{second}],"special_tokens":{{{},{}}}}},
        "decoder":{{"type":"WordPiece","prefix":"##","cleanup":true}},
        "model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{{{}}}}}}}"###,
        special(0, "[PAD]"),
        special(1, "[UNK]"),
        special(2, "[CLS]"),
        special(3, "[SEP]"),
        text("A", 0),
        text("A", 0),
        text("B", 1),
        ids(2, "[CLS]"),
        ids(3, "[SEP]"),
        vocabulary.join(",")
    )
}

/// Byte pairs without anything around them, without padding, without a token for what is unknown.
const PAIRS: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"WhitespaceSplit"},"post_processor":null,"decoder":null,
    "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,
    "vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}}"#;

fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn loaded(text: &str) -> Tokenizer {
    Tokenizer::load(file(text).1.with_file_name("none")).unwrap_err();
    let (_dir, path) = file(text);
    Tokenizer::load(path).unwrap()
}

fn error<T: std::fmt::Debug>(result: Result<T, TextError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn texts_become_rows_with_what_is_added_to_them() {
    let tokenizer = loaded(&wordpiece());
    assert_eq!(tokenizer.size(), 10);
    assert_eq!(
        (tokenizer.id("##ing"), tokenizer.id("ing"), tokenizer.token(8).as_deref()),
        (Some(6), None, Some("##or"))
    );
    // The file's own limit of 3 isn't what an encoder says.
    assert_eq!(tokenizer.encode("Calling me, sailor.").unwrap(), [2, 4, 6, 5, 1, 7, 8, 9, 3]);
    assert_eq!(tokenizer.decode(&[2, 4, 6, 5, 7, 8, 9, 3, 0]).unwrap(), "calling me sailor.");
    let rows = Encoder::new(6).encode(&tokenizer, ["me", "Calling me sailor", ""]).unwrap();
    assert_eq!(rows.ids, [2, 5, 3, 0, 0, 0, 2, 4, 6, 5, 7, 3, 2, 3, 0, 0, 0, 0]);
    assert_eq!((rows.lengths, &rows.mask[..6]), (vec![3, 6, 2], &[true, true, true, false, false, false][..]));
    let rows = Encoder::new(5).padding(Side::Pre).truncation(Side::Pre).encode(&tokenizer, ["me", "Calling me sailor"]);
    assert_eq!(rows.unwrap().ids, [0, 0, 2, 5, 3, 2, 5, 7, 8, 3]);
}

#[test]
fn pairs_have_their_texts_told_apart() {
    let tokenizer = loaded(&wordpiece());
    let rows = Encoder::new(8).encode_pairs(&tokenizer, [("call me", "me"), ("me me me me", "call")]).unwrap();
    assert_eq!(rows.ids, [2, 4, 5, 3, 5, 3, 0, 0, 2, 5, 5, 5, 5, 3, 4, 3]);
    assert_eq!(rows.types, [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    let rows = Encoder::new(6).encode_pairs(&tokenizer, [("me me me me", "call")]).unwrap();
    assert_eq!(rows.ids, [2, 5, 5, 3, 4, 3]);
    assert_eq!(rows.type_column().unwrap().sample().shape.dims(), [6]);
}

#[test]
fn a_thousand_texts_are_told_apart() {
    let tokenizer = loaded(&wordpiece());
    let texts: Vec<&str> = (0..3000).map(|i| if i % 7 == 0 { "sailor" } else { "me" }).collect();
    let rows = Encoder::new(4).encode(&tokenizer, texts).unwrap();
    assert!(rows.ids.chunks(4).enumerate().all(|(i, row)| row[1] == if i % 7 == 0 { 7 } else { 5 }));
}

#[test]
fn what_cannot_be_done_is_said() {
    let tokenizer = loaded(&wordpiece());
    let refused = Encoder::new(4).refuse_long().encode(&tokenizer, ["me", "me me me"]);
    assert_eq!(error(refused), "text 1 has 5 tokens, more than the 4 of a row, and is not to be cut");
    let refused = Encoder::new(2).encode(&tokenizer, ["me"]);
    assert_eq!(error(refused), "rows of 2 leave no room for a text beside the 2 tokens that are added");
    assert_eq!(error(tokenizer.decode(&[4, 10])), "id 10 at position 1: the vocabulary has 10 ids");
    assert_eq!(error(tokenizer.decode(&[-1])), "id -1 at position 0: the vocabulary has 10 ids");
    assert_eq!(error(Encoder::new(4).encode(&tokenizer, [])), "there are no texts to encode");

    let pairs = loaded(PAIRS);
    assert_eq!(Encoder::new(2).encode(&pairs, ["ab b"]).unwrap().ids, [2, 1]);
    let refused = Encoder::new(2).encode(&pairs, ["ab"]);
    assert_eq!(error(refused), "the tokenizer has no token for padding: choose one by `padding_token`");
    assert_eq!(error(pairs.clone().padding_token("c")), "the tokenizer has no token \"c\"");
    let padded = pairs.clone().padding_token("b").unwrap();
    assert_eq!(Encoder::new(2).encode(&padded, ["ab"]).unwrap().ids, [2, 1]);
    let refused = error(Encoder::new(2).encode(&pairs, ["ab b", " "]));
    assert!(refused.starts_with("text 1 has no token by the rule `tokenizer.json`: \" \""), "{refused}");
}

#[test]
fn a_file_that_is_no_tokenizer_is_refused_with_the_place() {
    let cases =
        [("", "line 1"), ("{\"version\": \"1.0\",\n 7", "line 2"), ("{}", "Model missing"), ("[1]", "no tokenizer")];
    for (text, want) in cases {
        let (_dir, path) = file(text);
        let said = error(Tokenizer::load(&path));
        assert!(said.contains("tokenizer.json: no tokenizer") && said.contains(want), "{text}: {said}");
    }
    let (_dir, path) = file(PAIRS.replace("\"ab\":2", "\"ab\":4294967295"));
    assert!(error(Tokenizer::load(&path)).ends_with("the id 4294967295 is beyond i32"));
}

#[test]
fn mutated_files_are_read_or_refused() {
    let count = std::env::var("GRADC_WEIGHTS_MUTATIONS").map_or(400, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let (mut random, mut read) = (SplitMix64::new(13), 0);
    for i in 0..count {
        let mut bytes = if i % 2 == 0 { wordpiece().into_bytes() } else { PAIRS.as_bytes().to_vec() };
        damage(&mut bytes, 0, &mut random);
        std::fs::write(&path, bytes).unwrap();
        let Ok(tokenizer) = Tokenizer::load(&path) else { continue };
        read += 1;
        let _ = Encoder::new(5).encode(&tokenizer, ["Calling me, sailor. ab"]);
        let _ = Encoder::new(9).encode_pairs(&tokenizer, [("ab me", "sailor"), ("", "a")]);
        let _ = tokenizer.decode(&[0, 1, 2]);
    }
    assert!(read < count, "all mutated files were taken for tokenizers");
}
