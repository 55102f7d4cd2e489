//! MiniLM from its files by rules of names alone: `scripts/fetch_minilm.sh data/minilm` fetches them; without them the test says that it is skipped.

use crate::minilm::{self, WIDTH, body, rules, sentences};
use gradc::data::text::Tokenizer;
use gradc::prelude::*;
use std::path::Path;

/// The sentences that the model's own page compares, and their cosines there.
const SENTENCES: [&str; 3] = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."];
const COSINES: [(usize, usize, f64); 3] = [(0, 1, 0.6660), (0, 2, 0.1046), (1, 2, 0.1411)];

#[test]
fn sentences_have_the_published_cosines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(minilm::FOLDER);
    let (model, tokenizer) = (folder.join("model.safetensors"), folder.join("tokenizer.json"));
    if !model.exists() || !tokenizer.exists() {
        eprintln!("SKIPPED: MiniLM isn't there: scripts/fetch_minilm.sh data/minilm fetches it");
        return;
    }
    let tokenizer = Tokenizer::load(tokenizer).unwrap();
    // Rows of another length change nothing but the padding.
    for length in [16, 24] {
        let mut trainer = body(length).compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
        let report = trainer.load_pretrained(&model, &rules()).unwrap();
        let tensors: usize = report.used.iter().map(|used| used.sources.len()).sum();
        eprintln!("{report}");
        assert_eq!((report.used.len(), tensors, report.ignored.len()), (77, 101, 3));
        let vectors = trainer.predict(&sentences(&tokenizer, length, SENTENCES).unwrap()).unwrap().to_f64_vec();
        for (a, b, want) in COSINES {
            let [a, b] = [a, b].map(|i| &vectors[i * WIDTH..(i + 1) * WIDTH]);
            let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            eprintln!("{cosine:.6}, published {want:.4}");
            assert!((cosine - want).abs() < 6e-5, "{cosine}, not {want}");
        }
    }
}
