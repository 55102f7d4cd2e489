//! MNIST: handwritten digits, 28x28 pixels (LeCun, Bottou, Bengio and Haffner, 1998).

use super::{Column, DataError, Dataset, read_idx};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The files, and the sha256 of their gunzipped contents.
pub const FILES: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Training and test digits: images `[28, 28, 1]` of pixels in 0 to 1, labels 0 to 9.
///
/// From the directory that the environment variable `GRADC_DATA` names, if it has the four files (texts are kept there, too), else from `data/full` if the whole set has been put there (by
/// `gradc data mnist --dir data/full`), else from `data/mnist-subset`, which holds 10,000 and 2,000 of the 60,000 and 10,000 digits.
///
/// # Errors
/// If there is none of these directories, or a file in the one that is used is missing or broken.
pub fn load() -> Result<(Dataset, Dataset), DataError> {
    load_from(directory()?)
}

/// The same, from the four IDX files (gzip or not) of a directory.
///
/// # Errors
/// If a file is missing, is broken, or doesn't hold what it should.
pub fn load_from(dir: impl AsRef<Path>) -> Result<(Dataset, Dataset), DataError> {
    let dir = dir.as_ref();
    Ok((digits(dir, "train")?, digits(dir, "t10k")?))
}

/// Where [`load`] reads from.
///
/// # Errors
/// If none of the directories exists.
pub fn directory() -> Result<PathBuf, DataError> {
    let complete = |dir: &PathBuf| FILES.iter().all(|(name, _)| find(dir, name).is_some());
    // It may be set for other data alone.
    if let Some(dir) = std::env::var_os("GRADC_DATA").map(PathBuf::from).filter(complete) {
        return Ok(dir);
    }
    // Cargo sets the variable for programs that it runs, from whatever directory.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let roots = [Some(PathBuf::new()), package].into_iter().flatten();
    let mut places = roots.flat_map(|root| [root.join("data/full"), root.join("data/mnist-subset")]);
    places.find(complete).ok_or_else(|| {
        let hint = "there is no MNIST: run in gradc's own directory, set GRADC_DATA to a directory with the four files, or get them with `gradc data mnist --dir data/full`";
        DataError::file(Path::new("data/mnist-subset"), hint)
    })
}

/// The file of that name, or its gunzipped form.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    [dir.join(name), dir.join(name.trim_end_matches(".gz"))].into_iter().find(|path| path.is_file())
}

fn digits(dir: &Path, part: &str) -> Result<Dataset, DataError> {
    let column = |what: &str| -> Result<(PathBuf, Column), DataError> {
        let name = format!("{part}-{what}-ubyte.gz");
        let path = find(dir, &name).unwrap_or_else(|| dir.join(&name));
        let column = Column::new(read_idx(&path)?)?;
        Ok((path, column))
    };
    let ((path, images), (labels_path, labels)) = (column("images-idx3")?, column("labels-idx1")?);
    if images.sample().to_string() != "u8[28,28]" {
        return Err(DataError::file(&path, format!("MNIST's images are u8[28,28], these are {}", images.sample())));
    }
    if labels.sample().to_string() != "u8[]" {
        return Err(DataError::file(&labels_path, format!("MNIST's labels are u8[], these are {}", labels.sample())));
    }
    if let ir::Data::U8(all) = labels.value().data()
        && let Some(at) = all.iter().position(|label| *label > 9)
    {
        return Err(DataError::file(&labels_path, format!("label {at} is {}, not a digit", all[at])));
    }
    if images.rows() != labels.rows() {
        let what = format!("{} labels for {} images in {}", labels.rows(), images.rows(), path.display());
        return Err(DataError::file(&labels_path, what));
    }
    Dataset::images(images.reshaped([28, 28, 1])?, labels)
}

/// Whether a directory holds the whole set, every file with the contents it should have.
///
/// # Errors
/// The first file that is missing, unreadable or different.
pub fn check(dir: impl AsRef<Path>) -> Result<(), DataError> {
    for (name, want) in FILES {
        let path = dir.as_ref().join(name);
        let file = File::open(&path).map_err(|e| DataError::io(&path, e))?;
        let found =
            sha256(flate2::read::MultiGzDecoder::new(BufReader::new(file))).map_err(|e| DataError::io(&path, e))?;
        if found != want {
            return Err(DataError::file(&path, format!("the contents have sha256 {found}, not {want}")));
        }
    }
    Ok(())
}

fn sha256(mut source: impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match source.read(&mut block)? {
            0 => break,
            n => hash.update(&block[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subset() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist-subset")
    }

    #[test]
    fn the_subset_holds_what_its_file_says() {
        let (train, test) = load_from(subset()).unwrap();
        assert_eq!((train.len(), test.len()), (10_000, 2_000));
        assert_eq!(train.sample("x").unwrap().to_string(), "u8[28,28,1]");
        let ir::Data::U8(labels) = train.column("y").unwrap().value().data() else { panic!() };
        // Every sixth of the original set, which begins 5, 0, 4, 1, 9, 2, 1.
        assert_eq!(labels[..10], [5, 1, 3, 6, 1, 3, 6, 7, 9, 9]);
        let readme = std::fs::read_to_string(subset().join("README.md")).unwrap();
        for (name, _) in FILES {
            let path = subset().join(name);
            let packed = sha256(File::open(&path).unwrap()).unwrap();
            let contents = sha256(flate2::read::MultiGzDecoder::new(File::open(&path).unwrap())).unwrap();
            assert!(readme.contains(&packed) && readme.contains(&contents), "{name}: {packed}, {contents}");
        }
        assert!(check(subset()).is_err(), "a subset is not the whole set");
    }

    #[test]
    fn files_that_do_not_belong_together_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (name, _) in FILES {
            std::fs::copy(subset().join(name), dir.path().join(name)).unwrap();
        }
        let labels = |part| dir.path().join(format!("{part}-labels-idx1-ubyte.gz"));
        std::fs::copy(labels("t10k"), labels("train")).unwrap();
        let error = load_from(dir.path()).unwrap_err().to_string();
        assert!(error.contains("train-labels") && error.contains("2000 labels for 10000 images"), "{error}");
        std::fs::remove_file(labels("train")).unwrap();
        assert!(load_from(dir.path()).unwrap_err().to_string().contains("train-labels-idx1-ubyte.gz"));
    }

    #[test]
    fn the_script_knows_the_same_sums() {
        let script = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_mnist.sh"));
        let script = script.unwrap();
        for (name, sum) in FILES {
            assert!(script.contains(&format!("{sum}  {}", name.trim_end_matches(".gz"))), "{name}");
        }
    }
}
