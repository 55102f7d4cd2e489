//! States written for other frameworks: with their own names and numbers again; and what can't be written.

use super::*;
use crate::io::load_tensors;

fn pytorch() -> WeightRules {
    WeightRules::new(Convention::PyTorch)
}

/// The models of the reference files, by the files' names, with the rules of each.
fn models() -> Vec<(&'static str, Functional, WeightRules)> {
    vec![
        ("picture.safetensors", picture(1e-5), pytorch()),
        ("text.safetensors", text(), pytorch()),
        ("transformer.safetensors", transformer(), pytorch().add_prefix("block.")),
        ("keras_picture.npz", picture(1e-3), WeightRules::new(Convention::Keras)),
        ("keras_text.npz", keras_text(), WeightRules::new(Convention::Keras).heads("attention", 2)),
    ]
}

/// What was read is written with the same names, types and numbers, but that a bias which PyTorch has as a sum is all in the first addend; and it is read again.
///
/// `GRADC_WRITTEN=FOLDER` leaves the files there, with inputs and results, for `tools/reference_keras.py --check FOLDER`.
#[test]
fn written_for_other_frameworks() {
    let dir = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("GRADC_WRITTEN").map(PathBuf::from);
    for (name, model, rules) in models() {
        let (mut trainer, _, read) = loaded(name, &model, &rules);
        let path = dir.path().join(name);
        let report = trainer.save_pretrained(&path, &rules).unwrap();
        assert_eq!(report.written.len(), read.used.len(), "{report}");
        let tensors = |report: &[UsedTensor]| report.iter().map(|used| used.sources.clone()).collect::<Vec<_>>();
        assert_eq!(tensors(&report.written), tensors(&read.used), "{name}");
        let (theirs, mut ours) = (load_tensors(reference(name)).unwrap(), load_tensors(&path).unwrap());
        for (tensor, value) in &ours {
            let want = &theirs[tensor];
            assert_eq!(value.ty().shape, want.ty().shape, "{name}: {tensor}");
            let is_addend = tensor.contains("bias_hh") || tensor.contains("bias_ih");
            assert!(is_addend || value.to_f64_vec() == want.to_f64_vec(), "{name}: {tensor}");
        }
        let mut fresh = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap().with_seed(9).unwrap();
        fresh.load_pretrained(&path, &rules).unwrap();
        assert_eq!(fresh.weights().unwrap(), trainer.weights().unwrap(), "{name}");
        if let Some(folder) = &kept {
            ours.insert("@x".into(), theirs["@x"].clone());
            let y = trainer.predict(&Dataset::unlabelled(theirs["@x"].clone()).unwrap()).unwrap();
            ours.insert("@y".into(), y);
            let to = folder.join(name);
            if name.ends_with("npz") { save_npz(to, &ours).unwrap() } else { save_tensors(to, &ours).unwrap() }
        }
    }
}

/// Fewer heads of keys and values, across two sequences; in names that only a file tells; as halves.
#[test]
fn attention_is_cut_as_its_heads_are() {
    let model = Sequential::new([4, 6]).add(MultiHeadAttention::new(4, 3).key_value_heads(2)).dense(2);
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let shapes = |rules: &WeightRules, trainer: &mut Trainer| {
        trainer.save_pretrained(&path, rules).unwrap();
        let file = TensorFile::open(&path).unwrap();
        let shape = |name: &str| (name.to_string(), file.ty(name).unwrap().shape.dims().to_vec());
        file.names().filter(|name| name.contains("multi")).map(shape).collect::<BTreeMap<_, _>>()
    };
    let found = shapes(&pytorch().float_type(DType::F16), &mut trainer);
    let of = |name: &str| found[&format!("multi_head_attention.{name}")].clone();
    assert_eq!([of("q_proj.weight"), of("k_proj.weight"), of("v_proj.weight")], [[12, 6], [6, 6], [6, 6]]);
    assert_eq!((found.len(), of("v_proj.bias"), of("out_proj.weight")), (8, vec![6], vec![6, 12]));
    assert_eq!(TensorFile::open(&path).unwrap().ty("dense.weight").unwrap().dtype, DType::F16);

    let keras = WeightRules::new(Convention::Keras);
    let error = trainer.save_pretrained(&path, &keras).unwrap_err().to_string();
    assert!(error.contains("WeightRules::heads(\"multi_head_attention\", ..)"), "{error}");
    let found = shapes(&keras.clone().heads("multi_*", 4), &mut trainer);
    let of = |name: &str| found[&format!("multi_head_attention/{name}")].clone();
    assert_eq!((of("query/kernel"), of("value/kernel")), (vec![6, 4, 3], vec![6, 2, 3]));
    assert_eq!((of("key/bias"), of("attention_output/kernel")), (vec![2, 3], vec![4, 3, 6]));

    // Names as in the file: another way than the first one, and heads from its shapes.
    let before = trainer.weights().unwrap();
    let like = keras.names_like(TensorFile::from_bytes("k", std::fs::read(&path).unwrap()).unwrap());
    assert_eq!(shapes(&like, &mut trainer).len(), 8);
    trainer.load_pretrained(&path, &WeightRules::new(Convention::Keras)).unwrap();
    assert_eq!(trainer.weights().unwrap(), before);
}

/// A depthwise convolution's kernel looks like another one's: a trainer knows which it is, of states alone it must be said.
#[test]
fn kernels_of_depthwise_convolutions_are_told() {
    let model = Functional::new(f32([6, 5, 3]), |x| DepthwiseConv2d::new(2).name("dw").use_bias(false).apply(x));
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let shape = || TensorFile::open(&path).unwrap().ty("dw.weight").unwrap().shape.dims().to_vec();
    trainer.save_pretrained(&path, &pytorch()).unwrap();
    assert_eq!(shape(), [3, 1, 2, 2]);
    let weights = trainer.weights().unwrap();
    pytorch().depthwise("d*").save(&path, &weights).unwrap();
    assert_eq!(shape(), [3, 1, 2, 2]);
    pytorch().save(&path, &weights).unwrap();
    assert_eq!(shape(), [1, 3, 2, 2]);
}

/// Strictly or not, with the names of a file that has a tensor more, and lacks one.
#[test]
fn states_and_tensors_that_are_left_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let [model, to] = ["model.safetensors", "new.safetensors"].map(|name| dir.path().join(name));
    let tensor = |name: &str, dims: &[usize]| (name.to_string(), zeros(dims));
    save_tensors(&model, &[tensor("net.fc.weight", &[2, 3]), tensor("net.pooler.bias", &[5])].into()).unwrap();
    let states = BTreeMap::from([("fc/kernel".to_string(), zeros(&[3, 2])), tensor("fc/bias", &[2])]);
    let like = || pytorch().strip_prefix("net.").names_like(TensorFile::open(&model).unwrap());
    match like().save(&to, &states).unwrap_err() {
        IoError::Missing { names, path, .. } => assert_eq!((names, path), (vec!["fc/bias".to_string()], model.clone())),
        other => panic!("{other}"),
    }
    match like().allow_missing().save(&to, &states).unwrap_err() {
        IoError::Unexpected { names, .. } => assert_eq!(names, ["net.pooler.bias"]),
        other => panic!("{other}"),
    }
    assert!(!to.exists());
    let report = like().allow_missing().allow_unused().save(&to, &states).unwrap();
    assert_eq!(
        (report.missing.as_slice(), report.unused.as_slice()),
        (&["fc/bias".to_string()][..], &["net.pooler.bias".to_string()][..])
    );
    let text = report.to_string();
    assert!(text.ends_with("1 of 2 states as 1 tensors, by the conventions of PyTorch\n  rearranged: 1\n  without a name, not written: fc/bias\n  of no state: net.pooler.bias"), "{text}");
    assert_eq!(load_tensors(&to).unwrap().keys().collect::<Vec<_>>(), ["net.fc.weight"]);
    save_tensors(&model, &[tensor("net.fc.weight", &[2, 4]), tensor("net.fc.bias", &[2])].into()).unwrap();
    let error = like().save(&to, &states).unwrap_err().to_string();
    assert!(
        error.contains("tensor `fc/kernel`: it is f32[3,2], of which `net.fc.weight` of [2,4] can't be made"),
        "{error}"
    );
}

/// Rules backwards; each name is read as it was.
#[test]
fn rules_are_followed_backwards() {
    let names = |rules: &WeightRules, states: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let states = states.iter().map(|name| (name.to_string(), zeros(&[2, 2]))).collect();
        let report = rules.save(dir.path().join("w.npz"), &states);
        report.map(|report| report.written.into_iter().flat_map(|used| used.sources).collect::<Vec<_>>())
    };
    let rules = pytorch()
        .strip_prefix("module.")
        .rename("embeddings.LayerNorm.*", "norm/{1}")
        .rename("embeddings.*", "{1}")
        .rename("encoder.layer.*.dense.*", "layer_{1}/dense/{2}");
    let found = names(&rules, &["layer_3/dense/kernel", "norm/gamma", "word/embeddings"]).unwrap();
    let want = ["encoder.layer.3.dense.weight", "embeddings.LayerNorm.weight", "embeddings.word.weight"];
    assert_eq!(found, want.map(|name| format!("module.{name}")));
    assert_eq!(names(&pytorch().add_prefix("body."), &["body/dense/kernel"]).unwrap(), ["dense.weight"]);
    assert_eq!(names(&WeightRules::new(Convention::Keras), &["a/dense/kernel"]).unwrap(), ["a/dense/kernel"]);
    assert_eq!(names(&WeightRules::default(), &["a/dense/kernel"]).unwrap(), ["a/dense/kernel"]);
    let refused = |rules: &WeightRules, states: &[&str]| names(rules, states).unwrap_err().to_string();
    for rules in [pytorch().add_prefix("body."), pytorch().ignore("head.*"), pytorch().rename("head.*", "other.{1}")] {
        let error = refused(&rules, &["head/kernel"]);
        assert!(error.contains("`head/kernel` is `head.weight`, and there is no name"), "{error}");
    }
    let same = pytorch().rename("*.gamma", "{1}.weight").rename("*.kernel", "{1}.weight");
    let error = refused(&same, &["a/kernel", "a/gamma"]);
    assert!(error.contains("`a/kernel` and another state would both be"), "{error}");
    // A unit that resets before the product is none of PyTorch's.
    let gru = [("gru/kernel", vec![2, 9]), ("gru/recurrent_kernel", vec![3, 9]), ("gru/bias", vec![9])];
    let gru = gru.into_iter().map(|(name, dims)| (name.to_string(), zeros(&dims))).collect();
    let error = pytorch().save("none.npz", &gru).unwrap_err().to_string();
    assert!(error.ends_with("PyTorch has no such layer as that of `gru/bias`"), "{error}");
}
