#!/usr/bin/env bash
# Measures gradc and other frameworks' benchmarks of the same workloads alternately, case by case, into one file of JSON lines, and prints the
# table of ratios that `gradc bench --compare` makes of it. What to run of the others is given by the user: they are no part of this repository.
#
#   tools/compare_peers.sh OUT.jsonl 'python peer_torch.py --mode eager' 'python peer_jax.py' ...
#
# Each command is a benchmark that takes `--workload NAME --threads N --seconds S` and prints one JSON line with `peer`, `mode`, `workload`,
# `threads` and `step_ms`, on its standard output; a command that can't do a workload may fail or print a line without `step_ms`. For commands
# that know kernels by names without `k_`, put `@plain` before the command: '@plain ./bin/candle --backend default'.
#
# Settings, by environment variables:
#   WORKLOADS="mlp_tiny logreg ..."   what to run; default: the training steps and kernels of docs/performance.md
#   THREADS="1 2"    SECONDS_EACH=1.5    ROUNDS=3    TIMEOUT=300 (seconds for a case)    GRADC=path of the command `gradc`
# Lines are appended, so that a run can be continued. Run it alone on the machine.
set -uo pipefail
[ $# -ge 1 ] || { sed -n '2,15p' "$0"; exit 2; }
out=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
gradc=${GRADC:-$root/target/release/gradc}
[ -x "$gradc" ] || { echo "$gradc is not there: cargo build --release, or set GRADC" >&2; exit 1; }
training="mlp_tiny logreg mlp_small mlp_large cnn_mnist_b32 cnn_mnist_b128"
kernels="k_sgemm_64 k_sgemm_128 k_sgemm_256 k_sgemm_512 k_sgemm_1024 k_sgemm_2048 k_sgemm_32x128x784 k_sgemm_128x1024x784
    k_conv3x3_fwd k_conv3x3_dx k_conv3x3_dw k_softmax_4096x1024 k_layernorm_4096x1024 k_gelu_4m k_tanh_64k k_chain_4m k_rowsum_4096x4096 k_adam_10m"
workloads=${WORKLOADS:-$training $kernels}
seconds=${SECONDS_EACH:-1.5}
limit=${TIMEOUT:-300}

# Runs one case of one command, pinned to as many processors as it has threads; keeps its JSON lines.
measure() { # workload threads command...
    local workload=$1 threads=$2
    shift 2
    timeout "$limit" taskset -c "0-$((threads - 1))" "$@" --workload "$workload" --threads "$threads" --seconds "$seconds" 2>/dev/null |
        grep '^{' | tee -a "$out" | cut -c 1-160
}

# Others' kernels under the names that they have.
plain() {
    case $1 in
    k_conv3x3_fwd) echo conv2d_same ;;
    *) echo "${1#k_}" ;;
    esac
}

for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
    for threads in ${THREADS:-1 2}; do
        for workload in $workloads; do
            measure "$workload" "$threads" "$gradc" bench --json
            for peer in "$@"; do
                if [ "${peer#@plain }" != "$peer" ]; then
                    # Split into words on purpose: a command with its arguments.
                    measure "$(plain "$workload")" "$threads" ${peer#@plain }
                else
                    measure "$workload" "$threads" $peer
                fi
            done
        done
    done
done
echo
"$gradc" bench --compare "$out"
