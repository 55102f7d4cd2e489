//! The example of clothes: its way from files to an accuracy, on digits, which come in the same files.

#[path = "../../examples/fashion.rs"]
#[allow(dead_code)] // Its `main`, which wants the clothes.
mod example;

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn images_are_moved_learnt_and_told_by_moved_ones_too() {
    let (train, test) = gradc::data::mnist::load_from(root().join("data/mnist-subset")).unwrap();
    let train = train.take(5000).unwrap();
    let mut trainer = example::trained(&example::changed(&train), 2, 1).unwrap();
    let test = test.take(300).unwrap();
    let right = trainer.evaluate(&test).unwrap().metric("accuracy").unwrap();
    let with_moved = example::accuracy_with_moved(&mut trainer, &test).unwrap();
    assert!(right > 0.5 && with_moved > 0.5, "{right} {with_moved}");
}
