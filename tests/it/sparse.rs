//! Embeddings of which a step updates the rows that its batch uses: against updates of the whole table, as machine code.

use gradc::compile::CompileOptions;
use gradc::data::{Dataset, array};
use gradc::model::Sequential;
use gradc::prelude::*;
use ir::Value;

const WORDS: usize = 5000;
const LENGTH: usize = 6;

fn trainer(sparse: bool, threads: usize) -> Trainer {
    let model = Sequential::of(i32([LENGTH])).add(Embedding::new(WORDS, 8).sparse(sparse)).lstm(4).dense(2);
    let trainer = model.compile(Sgd::new(0.5), SparseCategoricalCrossEntropy, []).unwrap();
    trainer.with_options(CompileOptions::threads(threads)).unwrap()
}

/// Texts of words below 40, some of them several times.
fn texts() -> Dataset {
    let ids: Vec<i32> = (0..16 * LENGTH as i32).map(|i| i * i % 40).collect();
    let labels = (0..16).map(|i| i % 2).collect::<Vec<i32>>();
    Dataset::new(array([16, LENGTH], ids).unwrap(), array([16], labels).unwrap()).unwrap()
}

fn table(trainer: &mut Trainer) -> Value {
    trainer.weights().unwrap().remove("embedding/embeddings").unwrap()
}

fn trained(sparse: bool, threads: usize) -> (Value, Trainer) {
    let mut trainer = trainer(sparse, threads);
    let before = table(&mut trainer);
    trainer.fit(&texts(), Fit::epochs(3).batch(8).shuffle(false).silent()).unwrap();
    (before, trainer)
}

#[test]
fn used_rows_move_as_in_updates_of_the_whole_table_and_others_stay() {
    let (before, mut by_rows) = trained(true, 1);
    let (_, mut whole) = trained(false, 1);
    let (found, want) = (table(&mut by_rows), table(&mut whole));
    assert_eq!(before.to_f64_vec()[40 * 8..], found.to_f64_vec()[40 * 8..]);
    assert_ne!(before.to_f64_vec()[..40 * 8], found.to_f64_vec()[..40 * 8]);
    for (found, want) in found.to_f64_vec().iter().zip(want.to_f64_vec()) {
        assert!((found - want).abs() <= 1e-5, "{found}, not {want}");
    }
    assert_eq!(table(&mut trained(true, 3).1), found, "the same bits at any number of threads");
}

#[test]
fn the_table_is_changed_where_it_stands() {
    let trainer = trained(true, 1).1;
    let reports = trainer.reports();
    let (_, _, report) = reports.iter().find(|(purpose, ..)| purpose == "training").unwrap();
    let names: Vec<&str> = report.kernels.iter().map(|kernel| &*kernel.name).collect();
    assert!(names.iter().any(|name| name.contains("scatter_add")), "{names:?}");
    // That would be the copy of the table to its next value.
    assert!(!names.iter().any(|name| name.contains("scatter_init")), "{names:?}");
}

#[test]
fn no_gradient_of_the_size_of_the_table_is_kept() {
    let arena = |sparse: bool| {
        let trainer = trained(sparse, 1).1;
        let reports = trainer.reports();
        let (_, _, report) = reports.iter().find(|(purpose, ..)| purpose == "training").unwrap();
        report.memory.arena
    };
    // What else a step keeps for a while has room where the gradient was, but is much smaller.
    let saved = arena(false) as i64 - arena(true) as i64;
    assert!(saved >= (WORDS * 8 * 4) as i64 / 2, "{saved} bytes");
}

#[test]
fn a_word_that_is_none_changes_no_row() {
    let mut trainer = trainer(true, 1);
    let before = table(&mut trainer);
    let ids: Vec<i32> = (0..LENGTH as i32).map(|i| if i == 4 { WORDS as i32 } else { i }).collect();
    let data = Dataset::new(array([1, LENGTH], ids).unwrap(), array([1], vec![1i32]).unwrap()).unwrap();
    let error = trainer.fit(&data, Fit::epochs(1).silent()).unwrap_err().to_string();
    assert!(error.contains("sample 0 of `x` holds 5000 at position 4"), "{error}");
    assert_eq!(table(&mut trainer), before);
}
