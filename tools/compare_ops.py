#!/usr/bin/env python3
"""Times single operations of gradc beside PyTorch eager and JAX (jit), alternately, and prints a Markdown table of ratios.

    pip install numpy torch jax          # torch is needed, jax is used where it is installed
    cargo build --release
    taskset -c 0 python3 tools/compare_ops.py [--filter REGEX] [--rounds 10] [--json FILE] > TABLE.md

The rows are those of `gradc bench --workload ops --list`: `OP/DTYPE/SHAPE[/ARGUMENT...][/grad]`. Each round times every framework for a moment; what counts is
the fastest step of all rounds. The ratio is gradc's time by PyTorch's: above 1 gradc is slower. With `grad` a step gives the result and the gradients of
`sum(result * dy)` by all float operands. One thread each. To hold all of them to AVX2, set GRADC_TARGET=avx2 ATEN_CPU_CAPABILITY=avx2
ONEDNN_MAX_CPU_ISA=AVX2 XLA_FLAGS=--xla_cpu_max_isa=AVX2.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np
import torch
import torch.nn.functional as F

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None

torch.set_num_threads(1)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TORCH = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16, "i32": torch.int32,
         "i64": torch.int64, "u8": torch.uint8}
EPSILON = 1e-5


class Row:
    """A row's parts, and the operands that its op asks for."""

    def __init__(self, name):
        fields = name.split("/")
        self.name, self.grad = name, fields[-1] == "grad"
        if self.grad:
            fields.pop()
        self.op, self.dtype, shape, *self.arguments = fields
        self.dims = [int(d) for d in shape.split("x")]
        self.random = np.random.default_rng(1)

    def number(self, i, of=int):
        return of(self.arguments[i])

    def list(self, i):
        return [int(x) for x in self.arguments[i].split("x")]

    def operand(self, dims, low=-1.0, high=1.0):
        """A tensor of floats; of whole numbers where the row's type is one."""
        if self.dtype in ("i32", "i64", "u8"):
            return torch.tensor(self.random.integers(0, 100, dims)).to(TORCH[self.dtype])
        return torch.tensor(self.random.uniform(low, high, dims)).to(TORCH[self.dtype])

    def x(self):
        return self.operand(self.dims)

    def positive(self):
        return self.operand(self.dims, 0.1, 4.1)

    def indices(self, below, dims):
        return torch.tensor(self.random.integers(0, below, dims))


# Each family gives (operands, function in torch, function in jax or None). Operands of floats are differentiated by.

TORCH_MAPS = {
    "exp": torch.exp, "relu": torch.relu, "gelu": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "erf": torch.erf,
    "sin": torch.sin, "softplus": F.softplus, "silu": F.silu, "mish": F.mish, "elu": F.elu, "abs": torch.abs,
    "floor": torch.floor, "expm1": torch.expm1, "square": torch.square, "scale_shift": lambda x: x * 1.5 + 0.25,
    "log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "log1p": torch.log1p,
}
POSITIVE = ("log", "sqrt", "rsqrt", "log1p")


def jax_maps():
    n = jax.nn
    return {
        "exp": jnp.exp, "relu": n.relu, "gelu": lambda x: n.gelu(x, approximate=False), "tanh": jnp.tanh,
        "sigmoid": n.sigmoid, "erf": jax.scipy.special.erf, "sin": jnp.sin, "softplus": n.softplus, "silu": n.silu,
        "mish": n.mish, "elu": n.elu, "abs": jnp.abs, "floor": jnp.floor, "expm1": jnp.expm1, "square": jnp.square,
        "scale_shift": lambda x: x * 1.5 + 0.25, "log": jnp.log, "sqrt": jnp.sqrt, "rsqrt": jax.lax.rsqrt,
        "log1p": jnp.log1p,
    }


def maps(r):
    if r.op in TORCH_MAPS:
        x = r.positive() if r.op in POSITIVE else r.x()
        return [x], TORCH_MAPS[r.op], jax and jax_maps()[r.op]
    if r.op == "pow":
        if r.arguments:
            e = r.number(0, float)
            return [r.positive()], lambda x: x ** e, lambda x: x ** e
        return [r.positive(), r.x()], torch.pow, lambda x, e: jnp.power(x, e)
    if r.op in ("add", "mul", "div"):
        f = {"add": lambda x, w: x + w, "mul": lambda x, w: x * w, "div": lambda x, w: x / w}[r.op]
        return [r.x(), r.positive()], f, f
    if r.op == "cast":
        to = r.arguments[0]
        names = {"bf16": "bfloat16", "f16": "float16", "f32": "float32", "f64": "float64", "i32": "int32", "u8": "uint8"}
        return [r.x()], lambda x: x.to(TORCH[to]), lambda x: x.astype(names[to])
    if r.op == "uniform":
        return [], lambda: torch.rand(r.dims, dtype=TORCH[r.dtype]), None
    if r.op == "normal":
        return [], lambda: torch.randn(r.dims, dtype=TORCH[r.dtype]), None
    if r.op == "dropout":
        return [r.x()], lambda x: F.dropout(x, 0.1, True), None
    return None


def reductions(r):
    axes = r.list(0) if r.arguments and r.arguments[0].replace("x", "").isdigit() else list(range(len(r.dims)))
    first, rank = axes[0], len(r.dims)
    over = tuple(range(rank - 1))

    def group(x):
        return F.group_norm(x.permute(0, 3, 1, 2), 8, eps=EPSILON).permute(0, 2, 3, 1)

    def batch(x):
        return F.batch_norm(x.permute(0, 3, 1, 2), None, None, training=True, eps=EPSILON).permute(0, 2, 3, 1)

    table = {
        "sum": (lambda x: x.sum(axes), lambda x: x.sum(tuple(axes), dtype=x.dtype)),
        "mean": (lambda x: x.mean(axes), lambda x: x.mean(tuple(axes))),
        "max": (lambda x: x.amax(axes), lambda x: x.max(tuple(axes))),
        "prod": (lambda x: x.prod(first), lambda x: x.prod(first)),
        "var": (lambda x: x.var(axes, unbiased=False), lambda x: x.var(tuple(axes))),
        "norm": (lambda x: torch.linalg.vector_norm(x, dim=axes), lambda x: jnp.sqrt((x * x).sum(tuple(axes)))),
        "argmax": (lambda x: x.argmax(first), lambda x: x.argmax(first)),
        "logsumexp": (lambda x: x.logsumexp(first), lambda x: jax.scipy.special.logsumexp(x, first)),
        "softmax": (lambda x: x.softmax(first), lambda x: jax.nn.softmax(x, first)),
        "log_softmax": (lambda x: x.log_softmax(first), lambda x: jax.nn.log_softmax(x, first)),
        "cumsum": (lambda x: x.cumsum(first), lambda x: x.cumsum(first)),
        "softmax_dropout": (lambda x: F.dropout(x.softmax(-1), 0.1, True), None),
    }
    if r.op in table:
        return ([r.x()],) + table[r.op]
    features = [r.dims[-1]]
    gamma, beta = torch.ones(features, dtype=TORCH[r.dtype]), torch.zeros(features, dtype=TORCH[r.dtype])

    def jax_norm(axes_of):
        def f(x, gamma, beta):
            centred = x - x.mean(axes_of, keepdims=True)
            return centred * jax.lax.rsqrt((centred * centred).mean(axes_of, keepdims=True) + EPSILON) * gamma + beta
        return f

    if r.op == "layer_norm":
        return [r.x(), gamma, beta], lambda x, g, b: F.layer_norm(x, features, g, b, EPSILON), jax_norm((-1,))
    if r.op == "layer_norm_dropout":
        return [r.x(), gamma, beta], lambda x, g, b: F.dropout(F.layer_norm(x, features, g, b, EPSILON), 0.1, True), None
    if r.op == "rms_norm":
        return ([r.x(), gamma], lambda x, g: F.rms_norm(x, features, g, EPSILON),
                lambda x, g: x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPSILON) * g)
    if r.op == "group_norm":
        return [r.x(), gamma, beta], lambda x, g, b: group(x) * g + b, None
    if r.op == "batch_norm":
        def f(x, g, b):
            y = F.batch_norm(x.permute(0, 3, 1, 2), None, None, g, b, True, eps=EPSILON)
            return y.permute(0, 2, 3, 1)
        return [r.x(), gamma, beta], f, jax_norm(over)
    return None


def roll(x, axis, by):
    return torch.roll(x, -by, axis)


def movements(r):
    def axis(i=0):
        return r.number(i)

    if r.op == "transpose":
        return [r.x()], lambda x: x.t().contiguous(), lambda x: x.T + 0
    if r.op == "permute":
        order = r.list(0)
        return [r.x()], lambda x: x.permute(order).contiguous(), lambda x: jnp.transpose(x, order) + 0
    if r.op == "flip":
        return [r.x()], lambda x: x.flip(axis()), lambda x: jnp.flip(x, axis())
    if r.op == "roll":
        return [r.x()], lambda x: roll(x, axis(), r.number(1)), lambda x: jnp.roll(x, -r.number(1), axis())
    if r.op == "strided_slice":
        cut = tuple(slice(None, None, r.number(1) if a == axis() else None) for a in range(len(r.dims)))
        return [r.x()], lambda x: x[cut].contiguous(), lambda x: x[cut]
    if r.op == "pad":
        return [r.x()], lambda x: F.pad(x, [1, 1] * len(r.dims)), lambda x: jnp.pad(x, 1)
    if r.op == "concat":
        parts = [r.x() for _ in range(r.number(1))]
        return parts, lambda *p: torch.cat(p, axis()), lambda *p: jnp.concatenate(p, axis())
    if r.op in ("broadcast", "add_broadcast"):
        one = list(r.dims)
        one[axis()] = 1
        if r.op == "broadcast":
            return [r.operand(one)], lambda w: w.expand(r.dims).contiguous(), lambda w: jnp.broadcast_to(w, r.dims)
        return [r.x(), r.operand(one)], lambda x, w: x + w, lambda x, w: x + w

    def repeated(f):
        def run(x):
            for _ in range(r.number(0)):
                x = f(x)
            return x
        return run

    if r.op == "rolled_means":
        return ([r.x()], repeated(lambda x: (x + torch.roll(x, -1, 0)) * 0.5),
                repeated(lambda x: (x + jnp.roll(x, -1, 0)) * 0.5))
    if r.op == "doubled":
        half = r.dims[1] // 2
        return ([r.x()], repeated(lambda x: (x + torch.cat([x[:, half:], x[:, :half]], 1)) * 0.5),
                repeated(lambda x: (x + jnp.concatenate([x[:, half:], x[:, :half]], 1)) * 0.5))
    if r.op == "stencil":
        def of(roll_):
            return repeated(lambda x: (roll_(x, -1, 0) + roll_(x, 1, 0) + roll_(x, -1, 1) + roll_(x, 1, 1)) * 0.25)
        return [r.x()], of(torch.roll), of(lambda *a: jnp.roll(*a))
    return None


def indexed(r):
    if r.op == "pick":
        i = r.indices(r.dims[-1], r.dims[:-1]).unsqueeze(-1)
        j = i.numpy()
        return [r.x()], lambda x: x.gather(-1, i).squeeze(-1), lambda x: jnp.take_along_axis(x, j, -1)
    if r.op == "take_along_axis":
        axis = r.number(0)
        dims = list(r.dims)
        dims[axis] = r.number(1)
        i = r.indices(r.dims[axis], dims)
        j = i.numpy()
        return [r.x()], lambda x: x.gather(axis, i), lambda x: jnp.take_along_axis(x, j, axis)
    if r.op == "sparse_cross_entropy":
        i = r.indices(r.dims[-1], r.dims[:-1])
        j = i.numpy()

        def entropy(x):
            return jax.scipy.special.logsumexp(x, -1) - jnp.take_along_axis(x, j[..., None], -1)[..., 0]
        return [r.x()], lambda x: F.cross_entropy(x, i, reduction="none"), entropy
    if r.op == "gather":
        i = r.indices(r.dims[0], [r.number(0)])
        j = i.numpy()
        return [r.x()], lambda x: F.embedding(i, x), lambda x: x[j]
    if r.op == "scatter_add":
        n = r.number(0)
        i = r.indices(r.dims[0], [n])
        j = i.numpy()
        return [r.x(), r.operand([n] + r.dims[1:])], lambda x, w: x.index_add(0, i, w), lambda x, w: x.at[j].add(w)
    if r.op == "sort":
        return [r.x()], lambda x: x.sort(r.number(0), stable=True).values, lambda x: jnp.sort(x, r.number(0))
    if r.op == "top_k":
        return [r.x()], lambda x: x.topk(r.number(1), r.number(0)).values, None
    if r.op == "one_hot":
        i = r.indices(r.dims[-1], r.dims[:-1])
        j = i.numpy()
        return [], lambda: F.one_hot(i, r.dims[-1]).to(TORCH[r.dtype]), lambda: jax.nn.one_hot(j, r.dims[-1])
    return None


def contractions(r):
    if r.op.startswith("matmul_"):
        batch, (m, k, n) = r.dims[:-3], r.dims[-3:]
        ta, tb = r.op[-2] == "t", r.op[-1] == "t"
        a, b = r.operand(batch + ([k, m] if ta else [m, k])), r.operand(batch + ([n, k] if tb else [k, n]))

        def f(a, b):
            return (a.mT if ta else a) @ (b.mT if tb else b)
        return [a, b], f, f
    if r.op == "conv":
        *size, outputs = r.list(0)
        stride, pad, groups = r.number(1), r.number(2), r.number(3)
        x = channels_last(r.x())
        w = channels_last(r.operand([outputs, *size, r.dims[-1] // groups]))
        conv = F.conv2d if len(size) == 2 else F.conv3d
        axes = "DHW"[-len(size):]

        def g(x, w):
            return jax.lax.conv_general_dilated(x, w, (stride,) * len(size), [(pad, pad)] * len(size), feature_group_count=groups,
                                                dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"))
        g.operands = lambda x, w: (np.ascontiguousarray(np.moveaxis(x, 1, -1)), np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2))))
        return [x, w], lambda x, w: conv(x, w, stride=stride, padding=pad, groups=groups), g
    if r.op == "conv_transpose":
        *size, outputs = r.list(0)
        stride, pad, groups = r.number(1), r.number(2), r.number(3)
        x, w = channels_last(r.x()), channels_last(r.operand([r.dims[-1], *size, outputs // groups]))
        return [x, w], lambda x, w: F.conv_transpose2d(x, w, stride=stride, padding=pad, groups=groups), None
    if r.op in ("max_pool", "avg_pool"):
        size, stride, pad = r.list(0), r.number(1), r.number(2)
        x, axes = channels_last(r.x()), len(size)
        if r.op == "max_pool":
            return [x], lambda x: (F.max_pool2d if axes == 2 else F.max_pool3d)(x, size, stride, pad), None
        return [x], lambda x: (F.avg_pool2d if axes == 2 else F.avg_pool3d)(x, size, stride, pad, count_include_pad=False), None
    return None


def channels_last(x):
    """Each framework has the layout that it likes best: torch channels last in memory, seen as `NC...`."""
    return x.movedim(-1, 1)


def layers(r):
    n = r.number(0) if r.arguments else 0
    features = r.dims[-1]
    if r.op == "dense":
        return ([r.x(), r.operand([n, features]), r.operand([n])], F.linear, lambda x, w, b: x @ w.T + b)
    if r.op in ("lstm", "gru", "rnn"):
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[r.op](features, n, batch_first=True)
        return [r.x(), *module.parameters()], lambda x, *_: module(x)[0][:, -1], None
    if r.op == "conv_batch_norm":
        x, w = r.x().permute(0, 3, 1, 2), r.operand([n, features, 3, 3]).contiguous(memory_format=torch.channels_last)
        gamma, beta = torch.ones(n), torch.zeros(n)
        return ([x, w, gamma, beta],
                lambda x, w, g, b: F.relu(F.batch_norm(F.conv2d(x, w, padding=1), None, None, g, b, True, eps=EPSILON)), None)
    if r.op == "separable_conv":
        x = channels_last(r.x())
        w, p = channels_last(r.operand([features, 3, 3, 1])), channels_last(r.operand([n, 1, 1, features]))
        return [x, w, p, r.operand([n])], lambda x, w, p, b: F.conv2d(F.conv2d(x, w, padding=1, groups=features), p, b), None
    if r.op in ("attention", "causal_attention"):
        q, k, v = r.x(), r.x(), r.x()

        def f(q, k, v):
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v, is_causal=r.op != "attention").transpose(1, 2)
        return ([q, k, v], f,
                lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=r.op != "attention"))
    if r.op == "multi_head":
        width = features
        operands = [r.x(), r.operand([3 * width, width]), r.operand([3 * width]), r.operand([width, width]), r.operand([width])]

        def f(x, w, b, v, c):
            batch, length, _ = x.shape
            q, k, u = (t.view(batch, length, n, width // n).transpose(1, 2) for t in F.linear(x, w, b).chunk(3, -1))
            y = F.scaled_dot_product_attention(q, k, u, is_causal=True)
            return F.linear(y.transpose(1, 2).reshape(batch, length, width), v, c)
        return operands, f, None
    return None


FAMILIES = (maps, reductions, movements, indexed, contractions, layers)


def with_gradients_torch(r, operands, f):
    if not r.grad:
        def forward():
            with torch.inference_mode():
                return f(*operands)
        return forward
    leaves = [x.detach().requires_grad_(True) if x.is_floating_point() and not x.requires_grad else x for x in operands]
    y = f(*leaves)
    dy = torch.rand_like(y)

    def step():
        # As a training loop does it: what would be a view of another gradient gets memory of its own in `grad`.
        for leaf in leaves:
            leaf.grad = None
        f(*leaves).backward(dy)
    return step


def with_gradients_jax(r, operands, f):
    if jax is None or f is None:
        return None
    arrays = [x.detach().float().numpy() if x.dtype in (torch.bfloat16, torch.float16) else x.detach().numpy() for x in operands]
    if hasattr(f, "operands"):
        arrays = f.operands(*arrays)
    names = {"bf16": jnp.bfloat16, "f16": jnp.float16}
    arrays = [jnp.asarray(a, names[r.dtype]) if r.dtype in names else jnp.asarray(a) for a in arrays]
    if not r.grad:
        step = jax.jit(f)
        return lambda: step(*arrays).block_until_ready()
    shape = jax.eval_shape(f, *arrays)
    dy = jnp.ones(shape.shape, shape.dtype)

    def both(*a):
        y, back = jax.vjp(f, *a)
        return y, back(dy)
    step = jax.jit(both)
    return lambda: jax.block_until_ready(step(*arrays))


def fastest(step, seconds):
    """The fastest of the steps that a moment has room for, in ms; at least three."""
    best, end, n = math.inf, time.perf_counter() + seconds, 0
    while n < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        best, n = min(best, time.perf_counter() - start), n + 1
        if n == 1 and best > 4 * seconds:
            break
    return best * 1e3


def gradc(command, row, seconds, timeout):
    line = subprocess.run([command, "bench", "--workload", row, "--threads", "1", "--seconds", str(seconds), "--json"],
                          capture_output=True, text=True, timeout=timeout)
    if line.returncode:
        raise RuntimeError(line.stderr.strip().splitlines()[-1] if line.stderr.strip() else f"exit {line.returncode}")
    return json.loads(line.stdout)["min_ms"]


def measure(name, options):
    r = Row(name)
    found = next((made for family in FAMILIES if (made := family(r)) is not None), None)
    if found is None:
        raise RuntimeError("no such operation here")
    operands, f, g = found
    steps = {"torch": with_gradients_torch(r, operands, f)}
    try:
        step = with_gradients_jax(r, operands, g)
        if step:
            step()
            steps["jax"] = step
    except Exception as error:  # what JAX can't do is left out of the table
        print(f"{name}: jax: {str(error).splitlines()[0]}", file=sys.stderr)
    best = {}
    for step in steps.values():
        step(), step()
    for _ in range(options.rounds):
        best["gradc"] = min(best.get("gradc", math.inf), gradc(options.gradc, name, options.seconds, options.timeout))
        for peer, step in steps.items():
            best[peer] = min(best.get(peer, math.inf), fastest(step, options.seconds))
        if best["gradc"] > 40 * best["torch"]:
            break
    return best


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--gradc", default=os.path.join(ROOT, "target/release/gradc"))
    arguments.add_argument("--filter", default="", help="only rows that this regular expression finds")
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--seconds", type=float, default=0.02, help="of each framework in each round")
    arguments.add_argument("--timeout", type=float, default=60.0, help="of a call of gradc")
    arguments.add_argument("--json", help="append a JSON line for each row to this file")
    options = arguments.parse_args()
    listed = subprocess.run([options.gradc, "bench", "--workload", "ops", "--list"], capture_output=True, text=True, check=True)
    rows = [row for row in listed.stdout.split() if re.search(options.filter, row)]
    print("| operation | gradc, ms | torch | ratio | jax | ratio |\n|---|---:|---:|---:|---:|---:|", flush=True)
    ratios = []
    for row in rows:
        try:
            best = measure(row, options)
        except Exception as error:
            print(f"| {row} | {str(error)[:80]} | - | - | - | - |", flush=True)
            continue
        own = best["gradc"]
        cells = []
        for peer in ("torch", "jax"):
            cells += [f"{best[peer]:.4g}", f"{own / best[peer]:.2f}"] if peer in best else ["-", "-"]
        ratios.append((own / best["torch"], row))
        print(f"| {row} | {own:.4g} | " + " | ".join(cells) + " |", flush=True)
        if options.json:
            with open(options.json, "a") as file:
                file.write(json.dumps({"row": row, **best}) + "\n")
    if ratios:
        mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
        slower = sorted((pair for pair in ratios if pair[0] > 1.1), reverse=True)
        print(f"\n{len(ratios)} rows, geometric mean of the ratios to torch {mean:.2f}; above 1.1: {len(slower)}")
        for ratio, row in slower:
            print(f"- {row}: {ratio:.2f}")


if __name__ == "__main__":
    main()
