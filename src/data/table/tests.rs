//! Tables: what is read, learnt and given to models.

use super::*;
use crate::data::{Epoch, Source};
use crate::prelude::*;
use std::io::Write;

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

fn read(text: &[u8], csv: impl Fn(Csv) -> Csv) -> Result<Table, String> {
    let file = file(text);
    let name = file.path().display().to_string();
    csv(Csv::new(file.path())).read().map_err(|e| e.to_string().replace(&name, "F"))
}

fn table(text: &str) -> Table {
    read(text.as_bytes(), |c| c).unwrap()
}

fn values(data: &Dataset, name: &str) -> Vec<f64> {
    data.value(name).unwrap().to_f64_vec()
}

#[test]
fn cells_are_numbers_texts_or_missing() {
    let table = table("id,a, b ,kind\n1,0.5,NA,cat\n2,,3,\"ant, red\"\n03,-1e3,4,?\n");
    assert_eq!(table.names().collect::<Vec<_>>(), ["id", "a", "b", "kind"]);
    assert_eq!(table.number("a", 0).unwrap(), Some(0.5));
    assert_eq!((table.number("a", 1).unwrap(), table.number("b", 0).unwrap()), (None, None));
    assert_eq!(table.text("kind", 1).unwrap().as_deref(), Some("ant, red"));
    // What looks like a number is the text that it was, until it is asked for as one.
    assert_eq!((table.text("id", 2).unwrap().as_deref(), table.number("id", 2).unwrap()), (Some("03"), Some(3.0)));
    assert_eq!(table.text("kind", 2).unwrap(), None);
    assert!(table.number("z", 0).is_err() && table.number("a", 3).is_err());
    let own = read(b"10;?\n9;-\n", |c| c.header(false).separator(b';').missing(["-"])).unwrap();
    assert_eq!((own.text("1", 0).unwrap().as_deref(), own.text("1", 1).unwrap()), (Some("?"), None));
}

#[test]
fn errors_name_line_and_column() {
    let message = |text: &[u8], csv: fn(Csv) -> Csv| read(text, csv).unwrap_err();
    assert_eq!(message(b"a,b\n1,2\n3\n", |c| c), "F:3: 1 fields, where the lines before have 2");
    assert_eq!(message(b"a,b\n", |c| c), "F: the file has no samples");
    assert_eq!(message(b"", |c| c.header(false)), "F: the file has no samples");
    assert_eq!(message(b"a,b\n1,\xff\n", |c| c), "F:2: field 2 is not UTF-8");
    assert_eq!(message(b"a,a\n1,2\n", |c| c), "F: two columns are called `a`");
    // Blank lines are skipped, and counted all the same; a cell in quotes may have several lines.
    for text in ["\n\na,b\n1,2\n\n\"1\n\n\",2\n\n3\n", "\r\n\r\na,b\r\n1,2\r\n\r\n\"1\r\n\r\n\",2\r\n\r\n3\r\n"] {
        assert_eq!(message(text.as_bytes(), |c| c), "F:10: 1 fields, where the lines before have 2");
    }
    assert_eq!(message(b"a,b\n\n1,2\n\n\n1,\xff\n", |c| c), "F:6: field 2 is not UTF-8");
    let blank = file(b"a,b\n\n1,2\n\n\n1,x\n");
    let error = FeatureSpace::new().numbers(["a", "b"]).fit(&Csv::new(blank.path()).read().unwrap()).unwrap_err();
    assert!(error.to_string().ends_with(":6: column `b`: \"x\" is no finite number"), "{error}");
    let file = file(b"a,b,y\n1,2,u\n1,x,v\n,4,\n");
    let message = |features: FeatureSpace, rows: &[usize]| {
        let table = Csv::new(file.path()).read().unwrap();
        let fitted = features.fit(&table.select(&[0]).unwrap());
        let error = fitted.and_then(|fitted| fitted.apply(&table.select(rows).unwrap())).unwrap_err();
        error.to_string().replace(&file.path().display().to_string(), "F")
    };
    let features = || FeatureSpace::new().numbers(["a"]);
    assert_eq!(message(features().numbers(["b"]), &[2, 1]), "F:3: column `b`: \"x\" is no finite number");
    assert_eq!(message(features().target("y"), &[0, 1]), "F:3: column `y`: \"v\" is none of the 1 classes");
    assert_eq!(message(features().target("y"), &[2]), "F:4: column `y` is missing");
    assert_eq!(message(features().weights("a"), &[2]), "F:4: column `a` is missing");
    assert_eq!(message(features().categories(["z"]), &[0]), "F: there is no column `z`; there are a, b, y");
    assert_eq!(message(features().target("a"), &[0]), "the column `a` is named twice among the features");
    assert_eq!(message(FeatureSpace::new().target("y"), &[0]), "no column is named for the features");
    let empty = Table::new().numbers("a", [None, Some(f64::NAN)]).unwrap();
    let error = features().fit(&empty).unwrap_err().to_string();
    assert_eq!(error, "column `a` has no number in the training rows");
    assert!(empty.clone().numbers("a", [None, None]).is_err() && empty.numbers("b", [None]).is_err());
}

#[test]
fn numbers_are_standardized_by_the_training_rows() {
    let train = table("a,b\n1,10\n3,\n5,10\n,10\n");
    let test = table("b,a\n30,9\nNA,NA\n");
    let deviation = (8.0f64 / 3.0).sqrt();
    let x = |features: FeatureSpace, table: &Table| values(&features.fit(&train).unwrap().apply(table).unwrap(), "x");
    let close = |got: Vec<f64>, want: &[f64]| {
        assert!(got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6), "{got:?} {want:?}");
    };
    let both = || FeatureSpace::new().numbers(["a", "b"]);
    // A column without spread is only moved.
    close(x(both(), &train), &[-2.0 / deviation, 0.0, 0.0, 0.0, 2.0 / deviation, 0.0, 0.0, 0.0]);
    close(x(both(), &test), &[6.0 / deviation, 20.0, 0.0, 0.0]);
    close(x(both().standardize(false).impute(Impute::Constant(-1.0)), &test), &[9.0, 30.0, -1.0, -1.0]);
    close(x(both().standardize(false).missing_indicators(true), &test), &[9.0, 0.0, 30.0, 0.0, 3.0, 1.0, 10.0, 1.0]);
    let skewed = Table::new().numbers("a", [1.0, 2.0, 4.0, 100.0].map(Some)).unwrap();
    let median = FeatureSpace::new().numbers(["a"]).impute(Impute::Median).standardize(false).fit(&skewed).unwrap();
    assert_eq!(values(&median.apply(&Table::new().numbers("a", [None]).unwrap()).unwrap(), "x"), [3.0]);
}

#[test]
fn categories_are_those_of_the_training_rows() {
    let train = table("city,zip,y\nRome,10,1.5\nOslo,9,2\n,9,3\n");
    let test = table("city,zip\nOslo,10\nParis,\n,9\n");
    let fitted = FeatureSpace::new().categories(["city", "zip"]).numeric_target("y").fit(&train).unwrap();
    // Oslo, Rome, missing; 9, 10, in numeric order.
    let want = [[1.0, 0.0, 0.0, 0.0, 1.0], [0.0; 5], [0.0, 0.0, 1.0, 1.0, 0.0]].concat();
    let tested = fitted.apply(&test).unwrap();
    assert_eq!((values(&tested, "x"), fitted.width()), (want, 5));
    assert!(tested.column("y").is_none(), "rows to predict from");
    assert_eq!(fitted.apply(&train).unwrap().sample("y").unwrap().to_string(), "f32[1]");
    let fitted = FeatureSpace::new().embedded(["city"]).numbers(["zip"]).fit(&train).unwrap();
    let tested = fitted.apply(&test).unwrap();
    assert_eq!((values(&tested, "city"), fitted.cardinality("city")), (vec![1.0, 0.0, 3.0], Some(4)));
    assert_eq!(tested.sample("city").unwrap().to_string(), "i32[]");
    assert_eq!(FeatureSpace::new().embedded(["city"]).fit(&train).unwrap().width(), 0);
    let labels = FeatureSpace::new().numbers(["y"]).target("zip").weights("y").fit(&train).unwrap();
    assert_eq!(
        (labels.classes(), values(&labels.apply(&train).unwrap(), "y")),
        (&["9".into(), "10".into()][..], vec![1.0, 0.0, 0.0])
    );
    assert_eq!(values(&labels.apply(&train).unwrap(), "sample_weight"), [1.5, 2.0, 3.0]);
}

#[test]
fn what_was_learnt_is_kept_to_the_bit() {
    let numbers = (0..50).map(|i| Some((f64::from(i) * 0.7).sin() / 3.0));
    let table =
        Table::new().numbers("a", numbers).unwrap().texts("b", (0..50).map(|i| [Some("u"), None][i % 2])).unwrap();
    let fitted = FeatureSpace::new().numbers(["a"]).categories(["b"]).fit(&table).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("features.json");
    fitted.save(&path).unwrap();
    assert_eq!(Preprocessing::load(&path).unwrap(), fitted);
    std::fs::write(&path, "{}").unwrap();
    assert!(Preprocessing::load(&path).unwrap_err().to_string().contains("features.json"));
}

#[test]
fn rows_are_split_at_random() {
    let table = Table::new().numbers("a", (0..10).map(|i| Some(f64::from(i)))).unwrap();
    let numbers = |table: &Table| {
        (0..table.rows()).map(|row| table.number("a", row).unwrap().unwrap() as i32).collect::<Vec<_>>()
    };
    let (train, test) = table.split(0.3, 4).unwrap();
    assert_eq!((train.rows(), test.rows()), (7, 3));
    let mut all = [numbers(&train), numbers(&test)].concat();
    assert_ne!(all, (0..10).collect::<Vec<_>>());
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    assert!(table.split(1.0, 0).is_err() && table.split(0.01, 0).is_ok_and(|(_, test)| test.rows() == 1));
}

/// A file read as it is used gives what the file in memory does, over several pieces.
#[test]
fn a_file_is_a_stream_of_its_rows() {
    let line = |i: usize| format!("{},{},{}\n", i % 7, ["u", "v", ""][i % 3], i % 2);
    let text: String = std::iter::once("a,b,y\n".to_string()).chain((0..2500).map(line)).collect();
    let file = file(text.as_bytes());
    let csv = Csv::new(file.path());
    let table = csv.read().unwrap();
    let fitted = FeatureSpace::new().numbers(["a"]).categories(["b"]).target("y").fit(&table).unwrap();
    let data = fitted.apply(&table).unwrap();
    let stream = csv.stream(&fitted).unwrap();
    assert_eq!(stream.schema(), data.schema());
    let streamed = stream.collect(0).unwrap();
    assert_eq!((values(&streamed, "x"), values(&streamed, "y")), (values(&data, "x"), values(&data, "y")));
    std::fs::write(file.path(), text + "1,u\n").unwrap();
    let last = stream.batches(Epoch::in_order(64)).unwrap().last().unwrap().unwrap_err().to_string();
    assert!(last.contains(":2502: 2 fields, where the lines before have 3"), "{last}");
    drop(file);
    assert!(matches!(stream.collect(0), Err(DataError::Io { .. })));
}

/// In the file of weights, beside them, and back.
#[test]
fn preprocessing_is_saved_with_the_weights() {
    let table = table("a,y\n1,u\n2,v\n4,u\n");
    let features = FeatureSpace::new().numbers(["a"]).target("y").fit(&table).unwrap();
    let trainer = || Sequential::new([1]).dense(2).compile(Adam::default(), SparseCategoricalCrossEntropy, []).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut trained = trainer();
    trained.set_metadata("features", features.to_json().unwrap());
    trained.set_metadata("another", "text");
    let paths = ["weights", "again", "checkpoint"].map(|name| dir.path().join(name));
    trained.save_weights(&paths[0]).unwrap();
    trained.save_weights(&paths[1]).unwrap();
    trained.save_checkpoint(&paths[2]).unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
    let mut other = trainer();
    assert_eq!(other.metadata("features"), None);
    other.load_weights(&paths[0]).unwrap();
    assert_eq!(Preprocessing::from_json(other.metadata("features").unwrap()).unwrap(), features);
    assert_eq!(other.metadata("another"), Some("text"));
    let mut third = trainer();
    third.load_checkpoint(&paths[2]).unwrap();
    assert_eq!(third.metadata("another"), Some("text"));
    // A file that was written without has none.
    trainer().save_weights(&paths[0]).unwrap();
    other.load_weights(&paths[0]).unwrap();
    assert!(crate::io::load_metadata(&paths[0]).unwrap().is_empty());
}
