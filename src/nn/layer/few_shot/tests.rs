//! Heads of few samples: distances and votes as by hand, and samples that are none.

use super::*;
use crate::prelude::*;

fn predicted(head: impl Layer + 'static, x: Vec<f32>) -> Vec<f64> {
    let model = Sequential::new([2]).add(head);
    let rows = x.len() / 2;
    let mut program = model.inference_graph(rows).unwrap().compile(&CompileOptions::threads(1)).unwrap();
    program.run([("x", &array([rows, 2], x).unwrap())]).unwrap()["output"].to_f64_vec()
}

/// Three directions: two samples of class 0, two of class 1 of other lengths, one of class 2.
fn samples() -> (Value, [i32; 5]) {
    (array([5, 2], vec![1.0f32, 0.0, 1.0, 0.1, 0.0, 9.0, 0.1, 1.0, -3.0, 0.0]).unwrap(), [0, 0, 1, 1, 2])
}

#[test]
fn distances_are_to_the_means() {
    let (vectors, labels) = samples();
    let found = predicted(Prototypes::of(&vectors, &labels, 3).unwrap(), vec![1.0, 0.05, -3.0, 1.0]);
    let means = [[1.0f64, 0.05], [0.05, 5.0], [-3.0, 0.0]];
    for (i, x) in [[1.0, 0.05], [-3.0, 1.0]].iter().enumerate() {
        for (class, mean) in means.iter().enumerate() {
            let want = -((x[0] - mean[0]).powi(2) + (x[1] - mean[1]).powi(2));
            let found = found[3 * i + class];
            assert!((found - want).abs() < 1e-5, "{i} {class}: {found} {want}");
        }
    }
}

#[test]
fn neighbours_vote_by_their_directions() {
    let (vectors, labels) = samples();
    let found = |k: usize, x: [f32; 2]| predicted(NearestNeighbours::of(&vectors, &labels, 3, k).unwrap(), x.to_vec());
    assert_eq!(found(1, [0.1, 0.9]), [0.0, 1.0, 0.0]);
    assert_eq!(found(1, [-50.0, 1.0]), [0.0, 0.0, 1.0]);
    let three = found(3, [1.0, 0.2]);
    assert!((three[0] - 2.0 / 3.0).abs() < 1e-6 && (three[1] - 1.0 / 3.0).abs() < 1e-6, "{three:?}");
}

#[test]
fn what_is_no_sample_is_refused() {
    let (vectors, labels) = samples();
    let refused = |error: Result<Prototypes, FewShotError>| error.unwrap_err();
    assert!(matches!(refused(Prototypes::of(&vectors, &labels[1..], 3)), FewShotError::Vectors { labels: 4, .. }));
    assert_eq!(refused(Prototypes::of(&vectors, &labels, 4)), FewShotError::Empty { class: 3 });
    let outside = FewShotError::Label { sample: 4, label: 2, classes: 2 };
    assert_eq!(refused(Prototypes::of(&vectors, &labels, 2)), outside);
    for neighbours in [0, 6] {
        let error = NearestNeighbours::of(&vectors, &labels, 3, neighbours).unwrap_err();
        assert_eq!(error, FewShotError::Neighbours { neighbours, samples: 5 });
    }
    let model = Sequential::new([3]).add(Prototypes::of(&vectors, &labels, 3).unwrap());
    let error = model.inference_graph(1).unwrap_err().to_string();
    assert!(error.contains("the samples had 2 features"), "{error}");
}
