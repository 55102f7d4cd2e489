//! What users set and get: extents, values, parameters, tensors to go on from, external data, refusals.

use crate::build::{dense, graph, ints, model, node, port, stored};
use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::dsl::{DType, GraphBuilder, Select, Tensor, f32};
use gradc::optim::Sgd;
use gradc_onnx::proto::{AttributeProto, ModelProto, StringStringEntryProto, TensorProto};
use gradc_onnx::{Import, ImportError, Refusal};
use ir::Data;

#[test]
fn an_open_extent_is_given_by_its_name_or_with_the_whole_shape() {
    let error = Import::from_bytes(dense()).load().unwrap_err();
    assert!(matches!(&error, ImportError::Dimension { input, axis: 0, dimension } if input == "x" && dimension == "n"));
    assert!(error.to_string().contains("Import::dim"), "{error}");
    for import in [Import::from_bytes(dense()).dim("n", 5), Import::from_bytes(dense()).input_shape("x", [5, 4])] {
        let model = import.load().unwrap();
        assert_eq!(model.tensor("y").unwrap().shape().unwrap().dims(), [5, 2]);
        assert_eq!(model.inputs()[0].0, "x");
    }
}

/// The loss of a model whose weights are parameters falls; those that aren't chosen stay as they are.
#[test]
fn stored_tensors_are_trained_on_request() {
    let model = Import::from_bytes(dense()).dim("n", 3).parameters(Select::pattern("*/w")).load().unwrap();
    let g = model.graph();
    let names: Vec<String> = g.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a/w", "b/w"]);
    let loss = (model.tensor("y").unwrap() - 0.5).square().mean();
    let step = g.minimize(loss, &Sgd::new(0.1)).unwrap();
    let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
    let x = array([3, 4], (0..12).map(|i| i as f32 * 0.1).collect::<Vec<f32>>()).unwrap();
    let losses: Vec<f64> = (0..50).map(|_| program.run([("x", &x)]).unwrap()["loss"].to_f64_vec()[0]).collect();
    assert!(losses[49] < losses[0] * 0.1, "{losses:?}");
}

/// On a tensor of another graph, with what a node of the model stores as a parameter there.
#[test]
fn a_model_is_a_part_of_another_one() {
    let weights = AttributeProto {
        name: "value".into(),
        t: Some(stored("", &[4, 2], &[0.5; 8])),
        r#type: 4,
        ..AttributeProto::default()
    };
    let nodes = vec![node("Constant", &[], &["w"], vec![weights]), node("MatMul", &["x", "w"], &["y"], vec![])];
    let bytes = model(graph(vec![port("x", &[-1, 4])], vec![port("y", &[-1, 2])], vec![], nodes));
    let g = GraphBuilder::new("outer");
    let x = g.input("pixels", f32([3, 2, 2])).reshape([3, 4]);
    let import = Import::from_bytes(bytes).parameters(Select::all());
    let imported = import.load_on(&[("x", &x)]).unwrap();
    assert!(imported.inputs().is_empty());
    let names: Vec<String> = g.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["w"]);
    g.output("y", &imported.tensor("y").unwrap());
    let step = g.finish().unwrap();
    assert_eq!(step.graph.inputs().map(|(_, port)| port.name.as_str()).collect::<Vec<_>>(), ["pixels"]);
    let refused = |inputs: &[(&str, &Tensor)]| import.load_on(inputs).unwrap_err().to_string();
    assert!(refused(&[("z", &x)]).contains("no such input, its inputs are \"x\""));
    assert!(refused(&[("x", &x.cast(DType::F64))]).contains("f64"));
    assert!(refused(&[]).contains("no tensor"));
}

#[test]
fn a_head_begins_at_any_tensor() {
    let model = Import::from_bytes(dense()).dim("n", 3).load().unwrap();
    let g = model.graph();
    let body = model.tensor("active").unwrap();
    assert_eq!(body.shape().unwrap().dims(), [3, 3]);
    let head = g.param("head", f32([3, 7]), gradc::dsl::glorot_uniform());
    g.output("classes", &body.matmul(&head));
    let step = g.finish().unwrap();
    assert_eq!(step.graph.outputs().len(), 1);
    assert!(model.tensor("nothing").is_err());
}

/// A shape that is computed of another one is a number: `[2, 3]` is reshaped to its extents in reverse, by ops on shapes.
#[test]
fn shapes_are_computed_at_import() {
    let nodes = vec![
        node("Shape", &["x"], &["shape"], vec![]),
        node("Gather", &["shape", "one"], &["last"], vec![]),
        node("Gather", &["shape", "zero"], &["first"], vec![]),
        node("Concat", &["last", "first"], &["reversed"], vec![crate::build::int_attribute("axis", 0)]),
        node("Reshape", &["x", "reversed"], &["y"], vec![]),
    ];
    let stored = vec![ints("one", &[1]), ints("zero", &[0])];
    let bytes = model(graph(vec![port("x", &[2, -1])], vec![port("y", &[])], stored, nodes));
    let imported = Import::from_bytes(bytes).dim("n", 3).load().unwrap();
    assert_eq!(imported.tensor("y").unwrap().shape().unwrap().dims(), [3, 2]);
    // Nothing of the shape's computation is left in the graph.
    assert!(imported.known("reversed").is_some());
    assert_eq!(imported.finish().unwrap().graph.len(), 2);
}

/// Convolutions, activations and pooling one after the other turn the axes once on the way in, and once on the way out.
#[test]
fn channels_stay_last_between_convolutions() {
    let kernel = |name: &str| stored(name, &[4, 4, 3, 3], &[0.1; 144]);
    let pads = || crate::build::ints_attribute("pads", &[1, 1, 1, 1]);
    let size = || crate::build::ints_attribute("kernel_shape", &[2, 2]);
    let nodes = vec![
        node("Conv", &["x", "k1"], &["a"], vec![pads()]),
        node("Relu", &["a"], &["b"], vec![]),
        node("MaxPool", &["b"], &["c"], vec![size()]),
        node("Conv", &["c", "k2"], &["d"], vec![pads()]),
        node("Add", &["d", "c"], &["e"], vec![]),
        node("Sigmoid", &["e"], &["y"], vec![]),
    ];
    let stored = vec![kernel("k1"), kernel("k2")];
    let bytes = model(graph(vec![port("x", &[1, 4, 8, 8])], vec![port("y", &[])], stored, nodes));
    let step = Import::from_bytes(bytes).load().unwrap().finish().unwrap();
    let turned = step
        .graph
        .ids()
        .filter(|&id| matches!(step.graph.op(id), ir::Op::Permute(_)) && step.graph.ty(id).shape.numel() != 144);
    assert_eq!(turned.count(), 2);
}

/// Elements in a file beside the model, and names that lead elsewhere.
#[test]
fn external_data_lies_in_the_models_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("weights.bin"), [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat()).unwrap();
    std::fs::write(folder.path().join("secret.bin"), [0u8; 12]).unwrap();
    let load = |location: &str, offset: &str| {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let weights = TensorProto {
            name: "w".into(),
            dims: vec![2],
            data_type: 1,
            data_location: 1,
            external_data: vec![entry("location", location), entry("offset", offset)],
            ..TensorProto::default()
        };
        let nodes = vec![node("Add", &["x", "w"], &["y"], vec![])];
        let path = inner.join("model.onnx");
        std::fs::write(&path, model(graph(vec![port("x", &[2])], vec![port("y", &[2])], vec![weights], nodes)))
            .unwrap();
        Import::new(path).load()
    };
    let imported = load("weights.bin", "4").unwrap();
    let Some(gradc_onnx::KnownTensor::Value(value)) = imported.known("w") else { panic!("no weights") };
    assert_eq!(value.data(), &Data::F32(vec![2.0, 3.0]));
    let absolute = folder.path().join("secret.bin").display().to_string();
    for outside in ["../secret.bin", &absolute, "sub/../../secret.bin", "nowhere.bin", ".", ""] {
        assert!(matches!(load(outside, "0"), Err(ImportError::Initializer { .. })), "{outside}");
    }
    for offset in ["8", "-4", "18446744073709551615", "x"] {
        assert!(matches!(load("weights.bin", offset), Err(ImportError::Initializer { .. })), "{offset}");
    }
}

#[test]
fn refusals_name_the_operator_the_node_and_the_reason() {
    let refused = |nodes, outputs| {
        let bytes = model(graph(vec![port("x", &[2, 3])], outputs, vec![], nodes));
        match Import::from_bytes(bytes).load() {
            Err(ImportError::Node { op, node, reason }) => (op, node, reason),
            other => panic!("{other:?}"),
        }
    };
    let out = || vec![port("y", &[2])];
    let (op, name, reason) = refused(vec![node("Quux", &["x"], &["y"], vec![])], out());
    assert_eq!((op.as_str(), name.as_str(), reason), ("Quux", "the Quux", Refusal::Operator));
    let (_, _, reason) = refused(vec![node("Reshape", &["x", "x"], &["y"], vec![])], out());
    assert_eq!(reason, Refusal::NeedsValue { tensor: "x".into() });
    let (_, _, reason) = refused(vec![node("Add", &["x", "later"], &["y"], vec![])], out());
    assert!(matches!(reason, Refusal::Broken(_)), "{reason}");
    let (_, _, reason) = refused(vec![node("MatMul", &["x", "x"], &["y"], vec![])], out());
    assert!(reason.to_string().contains("contracted extents must be equal, 3 and 2"), "{reason}");
    let decoded: ModelProto = prost::Message::decode(dense().as_slice()).unwrap();
    let old = ModelProto { opset_import: vec![], ..decoded };
    let mut newer = old.clone();
    newer.opset_import.push(gradc_onnx::proto::OperatorSetIdProto { domain: String::new(), version: 999 });
    let bytes = prost::Message::encode_to_vec(&newer);
    assert!(matches!(Import::from_bytes(bytes).load(), Err(ImportError::Opset { version: 999, .. })));
}

/// With the first extent open, of any number of samples; with a fixed one, by batches of that.
#[test]
fn a_model_is_a_predictor_of_any_number_of_samples() {
    let predictor = Import::from_bytes(dense()).predictor(6, CompileOptions::threads(1)).unwrap();
    assert_eq!(predictor.sizes().collect::<Vec<_>>(), [1, 2, 4, 6]);
    let fixed = Import::from_bytes(dense()).dim("n", 3).predictor(6, CompileOptions::threads(1)).unwrap();
    assert_eq!(fixed.sizes().collect::<Vec<_>>(), [3]);
    let numbers: Vec<f32> = (0..44).map(|i| (i as f32 * 0.3).sin()).collect();
    for samples in [1, 3, 11] {
        let x = array([samples, 4], numbers[..samples * 4].to_vec()).unwrap();
        let step = Import::from_bytes(dense()).dim("n", samples).load().unwrap().finish().unwrap();
        let want = &step.compile(&CompileOptions::threads(1)).unwrap().run([("x", &x)]).unwrap()["y"];
        for predictor in [&predictor, &fixed] {
            let found = predictor.predict(&[("x", (&x).into())]).unwrap();
            assert_eq!(found.ty(), want.ty());
            let pairs = found.to_f64_vec().into_iter().zip(want.to_f64_vec());
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
    let open = model(graph(
        vec![port("x", &[-1, -1])],
        vec![port("y", &[])],
        vec![],
        vec![node("Relu", &["x"], &["y"], vec![])],
    ));
    let error = Import::from_bytes(open).predictor(4, CompileOptions::threads(1)).unwrap_err().to_string();
    assert!(error.contains("axis 1 of input \"x\" has no extent"), "{error}");
}
