//! NumPy's files beside safetensors: what NumPy has written, what it will read, and what nobody should have to read.

use super::*;
use crate::data::array;
use damage::damage;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use ir::{DType, Scalar, Shape, SplitMix64, TensorType, Value};
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Mutated files that are tried, where nothing else is said.
const FILES: u64 = 6000;

fn reference(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/weights").join(name)).unwrap()
}

fn opened(bytes: Vec<u8>) -> Result<TensorFile, IoError> {
    TensorFile::from_bytes("f.npz", bytes)
}

/// All tensors of a file.
fn all(bytes: Vec<u8>) -> Result<BTreeMap<String, Value>, IoError> {
    let file = opened(bytes)?;
    file.check_seal()?;
    file.metadata()?;
    file.tensors(file.names())
}

#[test]
fn arrays_that_numpy_has_written_are_read_stored_and_deflated() {
    let stored = all(reference("stored.npz")).unwrap();
    assert_eq!(stored, all(reference("deflated.npz")).unwrap());
    let types: Vec<String> = stored.iter().map(|(name, value)| format!("{name} {}", value.ty())).collect();
    let want = [
        "float32 f32[2,3]",
        "float64 f64[2,3]",
        "half/float16 f16[2,3]",
        "int16 i16[2,3]",
        "scalar i64[]",
        "truth bool[2,3]",
        "uint8 u8[2,3]",
    ];
    assert_eq!(types, want);
    for name in ["float32", "float64", "half/float16", "int16", "uint8"] {
        assert_eq!(stored[name].to_f64_vec(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}");
    }
    assert_eq!(stored["truth"].to_f64_vec(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(stored["scalar"].to_f64_vec(), [-7.0]);
    let single = all(reference("single.npy")).unwrap();
    assert_eq!(single, [("arr_0".to_string(), stored["float32"].clone())].into());
}

#[test]
fn what_is_saved_for_numpy_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let value = |dtype, n: usize| {
        let ty = TensorType::new(dtype, Shape::new([n, 2]).unwrap());
        Value::from_fn(ty, |i| Scalar::from_f64(i as f64 - 1.5, dtype))
    };
    let kinds = DType::ALL.into_iter().enumerate();
    let tensors: BTreeMap<String, Value> = kinds.map(|(i, d)| (format!("state/{d}"), value(d, i + 1))).collect();
    let path = dir.path().join("a.npz");
    save_npz(&path, &tensors).unwrap();
    let mut found = load_tensors(&path).unwrap();
    // NumPy has no such type.
    let short = found.remove("state/bf16").unwrap();
    assert_eq!((short.ty().dtype, short.to_f64_vec()), (DType::F32, tensors["state/bf16"].to_f64_vec()));
    assert!(found.iter().all(|(name, value)| tensors[name] == *value) && found.len() == DType::ALL.len() - 1);
    let first = std::fs::read(&path).unwrap();
    save_npz(&path, &tensors).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first, "the same tensors give the same bytes");
    let path = dir.path().join("a.npy");
    save_npy(&path, &tensors["state/i8"]).unwrap();
    assert_eq!(load_tensors(&path).unwrap()["arr_0"], tensors["state/i8"]);
    let odd = save_npz(&path, &[("/etc/x".to_string(), tensors["state/i8"].clone())].into()).unwrap_err();
    assert!(odd.to_string().contains("leaves the archive's folder"), "{odd}");
}

/// The file of an array with a header that says anything.
fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}");
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), elements].concat()
}

/// An archive of these files.
fn archive(files: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in files {
        let method = if deflated { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let path = EntryPath::verbatim(name.as_bytes());
        let (mut entry, config) = archive.new_file(path).compression_method(method).start().unwrap();
        let descriptor = if deflated {
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
            writer.write_all(bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// What is said of a file that is not read.
fn refused(bytes: Vec<u8>) -> String {
    match all(bytes) {
        Err(error @ (IoError::Malformed { .. } | IoError::Tensor { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn archives_that_promise_too_much_are_refused() {
    let one = || npy("<f4", "(1,)", &[0; 4]);
    for (shape, what) in [
        ("(1152921504606846976,)", "the header says that there are"),
        ("(4294967296, 4294967296)", "more bytes than memory can hold"),
        ("(268435456,)", "the header says that there are"),
        ("(0,)", "the header says that there are"),
    ] {
        let file = npy("<f4", shape, &[0; 4]);
        assert!(refused(file.clone()).contains(what), "{shape}: {}", refused(file));
        for deflated in [false, true] {
            let error = refused(archive(&[("a.npy", npy("<f4", shape, &[0; 4]))], deflated));
            assert!(error.contains(what) && error.contains("`a`"), "{shape}: {error}");
        }
    }
    for name in ["/abs.npy", "../up.npy", "a/../../b.npy", "c:\\x.npy", "a//b.npy", ".npy"] {
        let error = refused(archive(&[(name, one())], false));
        assert!(error.contains("leaves the archive's folder"), "{name}: {error}");
    }
    let error = refused(archive(&[("a.npy", one()), ("a.npy", one())], false));
    assert!(error.contains("stands in the archive twice"), "{error}");
    let error = refused(archive(&[("readme.txt", one())], false));
    assert!(error.contains("`readme.txt` is no array"), "{error}");
    // 40 MiB of zeros, in 40 KiB.
    let zeros = archive(&[("zeros.npy", npy("|u1", "(41943040,)", &vec![0; 40 << 20]))], true);
    assert!(zeros.len() < 100_000);
    let error = refused(zeros);
    assert!(error.contains("save them by `numpy.savez`"), "{error}");
    let complex = opened(archive(&[("c.npy", npy("<c8", "(1,)", &[0; 8])), ("f.npy", one())], false)).unwrap();
    assert!(complex.tensor("c").unwrap_err().to_string().contains("tensor `c`: elements of `<c8` are not supported"));
    assert!(complex.tensor("f").is_ok(), "what is sound in a file can be had");
    assert!(matches!(complex.tensor("d"), Err(IoError::Missing { .. })));
    let truth = refused(archive(&[("t.npy", npy("|b1", "(2,)", &[1, 2]))], false));
    assert!(truth.contains("element 1 is the byte 2"), "{truth}");
}

#[test]
fn entries_that_share_bytes_and_wrong_checksums_are_refused() {
    let whole = archive(&[("aa.npy", npy("<f4", "(1,)", &[0; 4])), ("bb.npy", npy("<f4", "(1,)", &[1; 4]))], false);
    let place = |text: &[u8], from: usize| from + whole[from..].windows(text.len()).position(|w| w == text).unwrap();
    let directory = place(b"PK\x01\x02", 0);
    let second = place(b"PK\x01\x02", directory + 1);
    // Both entries lie where the first one does.
    let mut shared = whole.clone();
    shared.copy_within(directory + 42..directory + 46, second + 42);
    assert!(refused(shared).contains("share bytes"));
    let mut damaged = whole.clone();
    let at = place(&[1; 4], 0);
    damaged[at] ^= 0x10;
    let error = refused(damaged);
    assert!(error.contains("tensor `bb`: the checksum is not that of the contents"), "{error}");
    for length in 0..whole.len() {
        assert!(all(whole[..length].to_vec()).is_err(), "cut to {length}");
    }
}

/// `GRADC_WEIGHTS_MUTATIONS=1000000` makes a long run.
#[test]
fn mutated_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let tensors = [("a/b".to_string(), array([2, 2], vec![1.0f32; 4]).unwrap())];
    save_with_metadata(&path, &tensors.into(), &[("note".to_string(), "text".to_string())].into(), false).unwrap();
    let names = ["stored.npz", "deflated.npz", "single.npy", "text.safetensors"];
    let mut seeds: Vec<Vec<u8>> = names.into_iter().map(reference).collect();
    seeds.push(std::fs::read(&path).unwrap());
    let files = std::env::var("GRADC_WEIGHTS_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(FILES);
    let rules = WeightRules::new(Convention::PyTorch).allow_missing().allow_unused();
    let wanted = [("lstm/kernel".to_string(), TensorType::new(DType::F32, Shape::new([4, 12]).unwrap()))].into();
    let (mut random, mut taken, mut slowest) = (SplitMix64::new(11), 0u64, std::time::Duration::ZERO);
    for i in 0..files {
        let mut bytes = seeds[i as usize % seeds.len()].clone();
        damage(&mut bytes, 0, &mut random);
        let start = std::time::Instant::now();
        if let Ok(file) = opened(bytes.clone()) {
            let _ = rules.select(&file, &wanted);
        }
        taken += u64::from(all(bytes).is_ok());
        slowest = slowest.max(start.elapsed());
    }
    println!("{files} mutated files, {taken} of them read; the slowest took {slowest:?}");
    assert!(taken > 0 && taken < files / 2, "{taken} of {files}");
}
