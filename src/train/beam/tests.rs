//! Searches against all sequences there are, and of a language model against whole texts.

use super::*;
use crate::nn::SparseCategoricalCrossEntropy;
use crate::optim::Sgd;
use crate::train::{Compile, Generator, Sampling};
use ir::SplitMix64;

const VOCABULARY: usize = 4;
const END: i32 = 0;

/// Logits that depend on all tokens so far, and on a seed.
fn logits(seed: u64, tokens: &[i32]) -> Vec<f32> {
    let key = tokens.iter().fold(seed, |key, token| key.wrapping_mul(31).wrapping_add(*token as u64 + 1));
    let mut random = SplitMix64::new(key);
    (0..VOCABULARY).map(|_| (random.bits() >> 40) as f32 / (1 << 22) as f32).collect()
}

fn search(search: BeamSearch, seed: u64, prompts: &[Vec<i32>]) -> Vec<Vec<Hypothesis>> {
    search.run(prompts, |beams| Ok(beams.iter().flat_map(|beam| logits(seed, beam.tokens)).collect())).unwrap()
}

/// All sequences up to a length, with their scores.
fn all(seed: u64, tokens: &[i32], log: f64, left: usize, search: &BeamSearch, found: &mut Vec<(Vec<i32>, f64)>) {
    let generated = search.max_tokens - left;
    if left == 0 {
        found.push((tokens[1..].to_vec(), log / search.penalty(generated)));
        return;
    }
    for (token, step) in log_softmax(&logits(seed, tokens)).into_iter().enumerate() {
        if token as i32 == END {
            found.push((tokens[1..].to_vec(), (log + step) / search.penalty(generated + 1)));
        } else {
            all(seed, &[tokens, &[token as i32]].concat(), log + step, left - 1, search, found);
        }
    }
}

#[test]
fn a_width_of_all_sequences_finds_the_best_ones() {
    for (seed, alpha) in (0..20).flat_map(|seed| [(seed, 0.0), (seed, 0.7), (seed, 3.0)]) {
        let whole = BeamSearch::new(VOCABULARY.pow(4), 4).end(END).length_penalty(alpha);
        let mut want = vec![];
        all(seed, &[1], 0.0, 4, &whole, &mut want);
        want.sort_by(|a, b| b.1.total_cmp(&a.1));
        let found = &search(whole, seed, &[vec![1]])[0];
        assert_eq!(found.len(), want.len());
        for (found, want) in found.iter().zip(&want) {
            assert!((found.score - want.1).abs() < 1e-12, "{found:?}, not {want:?}");
        }
        assert_eq!(found[0].tokens, want[0].0);
    }
}

#[test]
fn a_width_of_one_takes_the_likeliest_token() {
    for seed in 0..50 {
        let mut tokens = vec![2];
        let mut ended = false;
        while tokens.len() <= 6 && !ended {
            let next = Sampling::new(0).temperature(0.0).pick(&logits(seed, &tokens)) as i32;
            ended = next == END;
            tokens.extend((!ended).then_some(next));
        }
        let found = &search(BeamSearch::new(1, 6).end(END), seed, &[vec![2]])[0];
        assert_eq!((found.len(), &found[0].tokens[..], found[0].ended), (1, &tokens[1..], ended), "seed {seed}");
    }
}

#[test]
fn prompts_are_searched_each_on_its_own_and_wider_is_not_worse_on_average() {
    let prompts: Vec<Vec<i32>> = (0..9).map(|i| vec![1 + i % 3, 1 + i / 3]).collect();
    let of = |width: usize, prompts: &[Vec<i32>]| search(BeamSearch::new(width, 5).end(END), 7, prompts);
    let together = of(3, &prompts);
    for (prompt, found) in prompts.iter().zip(&together) {
        assert_eq!(found, &of(3, std::slice::from_ref(prompt))[0]);
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score) && found.len() == 3);
    }
    let sum = |found: &[Vec<Hypothesis>]| found.iter().map(|found| found[0].score).sum::<f64>();
    assert!(sum(&together) > sum(&of(1, &prompts)));
}

#[test]
fn rows_that_are_missing_and_logits_that_are_no_numbers() {
    let error = BeamSearch::new(2, 3).run(&[[1], [2]], |_| Ok(vec![0.0; 3])).unwrap_err().to_string();
    assert!(error.contains("3 logits are no row for each of 2 sequences"), "{error}");
    let found = BeamSearch::new(3, 2).run(&[[1]], |beams| Ok([f32::NAN, 1.0].repeat(beams.len()))).unwrap();
    assert_eq!(found[0], [Hypothesis { tokens: vec![1, 1], score: 0.0, ended: false }]);
}

#[test]
fn a_language_model_keeps_the_keys_and_values_of_what_is_continued() {
    let model = LanguageModel::new(5, 8).width(8).heads(2).layers(2);
    let trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []);
    let mut weights = trainer.unwrap().weights().unwrap();
    for (name, value) in &mut weights {
        *value = crate::dsl::normal(0.0, 0.7).value(value.ty(), 3, name);
    }
    let options = CompileOptions::threads(1);
    let prompts = [vec![3, 1], vec![2], vec![2, 4], vec![1, 4, 1]];
    let search = BeamSearch::new(3, 6).end(0).length_penalty(0.6);
    let found = BeamGenerator::new(&model, &weights, 6, &options).unwrap().search(&prompts, &search).unwrap();
    // The same search, with each text fed from its beginning.
    let mut one = Generator::new(&model, &weights, &options).unwrap();
    let want = search.run(&prompts, |beams| {
        let mut logits = vec![];
        for beam in beams {
            one.clear();
            let (last, before) = beam.tokens.split_last().unwrap();
            for &token in before {
                one.feed(token)?;
            }
            logits.extend_from_slice(one.feed(*last)?);
        }
        Ok(logits)
    });
    assert_eq!(found.len(), prompts.len());
    for (found, want) in found.iter().flatten().zip(want.unwrap().iter().flatten()) {
        assert_eq!((&found.tokens, found.ended), (&want.tokens, want.ended));
        assert!((found.score - want.score).abs() < 1e-4, "{found:?}, not {want:?}");
    }
    let mut generator = BeamGenerator::new(&model, &weights, 2, &options).unwrap();
    let error = generator.search(&prompts, &search).unwrap_err().to_string();
    assert!(error.contains("1 prompts by 3 are over 2 sequences"), "{error}");
    let error = generator.search(&[vec![1], vec![]], &search).unwrap_err().to_string();
    assert!(error.contains("at least 1 token"), "{error}");
    let error = generator.search(&[[1]], &BeamSearch::new(1, 9)).unwrap_err().to_string();
    assert!(error.contains("over the context 8"), "{error}");
}
