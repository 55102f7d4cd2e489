# Recipes for those who have `just`; .ci/run and plain cargo do the same.

# List the recipes.
default:
    @just --list

# Everything that a change must pass.
ci:
    .ci/run

# The same without the release build and the example.
quick:
    .ci/run quick

# Format all code.
fmt:
    cargo fmt --all

# Clippy, with warnings as errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests of all crates.
test:
    cargo test --workspace

# The documentation, with warnings as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Write the snapshots of the tests anew; read the difference before committing it.
snapshots:
    INSTA_UPDATE=always cargo test --workspace

# Train the example on the images in data/.
mnist:
    cargo run --release --example mnist

# Time compilation, kernels and steps with criterion.
bench:
    cargo bench

# Time whole workloads: one table, or with `--json` one line each.
workloads *ARGS:
    cargo run --release -- bench --workload all {{ARGS}}

# A model's program after a pass, as text.
dump MODEL PASS:
    cargo run --release -- dump {{MODEL}} --after {{PASS}}
