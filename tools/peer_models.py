#!/usr/bin/env python3
"""PyTorch's and JAX's side of the workloads cnn_bn_b128, transformer_dropout, gan, mlp_bf16 and mlp_joined of `gradc bench`: one JSON line for a run.

    python3 tools/peer_models.py --peer torch|jax --mode eager|compile --workload gan --threads 1 --seconds 3

A command for tools/compare_peers.sh. Models, batches, optimizers are those of `gradc bench` (its documentation lists them); weights are the framework's own kind of
random numbers, so that losses at step 1 agree roughly, not to the digit. A step is forward, backward and update, and ends with the loss on the host.
"""

import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--peer", choices=["torch", "jax"], default="torch")
parser.add_argument("--mode", choices=["eager", "compile"], default=None)
parser.add_argument("--workload", required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=3.0)
options = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(options.threads)
if options.threads == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import numpy as np

BATCH = {"cnn_bn_b128": 128, "transformer_dropout": 16, "gan": 64, "mlp_bf16": 128, "mlp_joined": 128}
EPSILON = 1e-5
random = np.random.default_rng(1)


def uniform(*dims, low=-1.0, high=1.0):
    return random.uniform(low, high, dims).astype(np.float32)


def batch(name):
    """The inputs, and the labels where there are some."""
    n = BATCH[name]
    labels = random.integers(0, 10, n)
    if name == "cnn_bn_b128":
        return uniform(n, 28, 28, 1, low=0.0), labels
    if name == "transformer_dropout":
        return random.integers(0, 65, (n, 128)), random.integers(0, 65, (n, 128))
    if name == "gan":
        return uniform(n, 784), uniform(n, 64)
    if name == "mlp_bf16":
        return uniform(n, 784, low=0.0), labels
    return uniform(16, n, 32), labels


def torch_step(name):
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.qkv, self.output = nn.LayerNorm(128), nn.Linear(128, 384), nn.Linear(128, 128)
            self.norm2, self.up, self.down = nn.LayerNorm(128), nn.Linear(128, 512), nn.Linear(512, 128)

        def forward(self, x):
            b, t, d = x.shape
            q, k, v = (z.view(b, t, 4, 32).transpose(1, 2) for z in self.qkv(self.norm1(x)).chunk(3, -1))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=0.1)
            x = x + F.dropout(self.output(y.transpose(1, 2).reshape(b, t, d)), 0.1)
            return x + F.dropout(self.down(F.gelu(self.up(self.norm2(x)))), 0.1)

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.symbols, self.positions = nn.Embedding(65, 128), nn.Parameter(0.05 * torch.randn(128, 128))
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 65, bias=False)

        def forward(self, x):
            return self.head(self.norm(self.blocks(self.symbols(x) + self.positions))).flatten(0, 1)

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(nn.Linear(32, 64) for _ in range(16))
            self.hidden, self.output = nn.Linear(1024, 256), nn.Linear(256, 10)

        def forward(self, x):
            joined = torch.cat([F.relu(part(x[i])) for i, part in enumerate(self.parts)], -1)
            return self.output(F.relu(self.hidden(joined)))

    def chain(*sizes):
        layers = [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    compiled = (lambda f: torch.compile(f, dynamic=False)) if options.mode == "compile" else (lambda f: f)
    x, y = (torch.from_numpy(a) for a in batch(name))
    if name == "gan":
        generator = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh())
        discriminator = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1))
        made, judging = list(generator.parameters()), list(discriminator.parameters())
        optimizer = torch.optim.Adam(made + judging, 2e-4, (0.5, 0.999))
        ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)

        def losses(x, z):
            real, fake = discriminator(torch.cat([x, generator(z)])).chunk(2)
            bce = F.binary_cross_entropy_with_logits
            return bce(real, ones) + bce(fake, zeros), bce(fake, ones)
        losses = compiled(losses)

        def step():
            of_discriminator, of_generator = losses(x, y)
            # One backward pass for each loss, as a training loop with both has them.
            gradients = torch.autograd.grad(of_generator, made, retain_graph=True)
            gradients += torch.autograd.grad(of_discriminator, judging)
            for parameter, gradient in zip(made + judging, gradients):
                parameter.grad = gradient
            optimizer.step()
            return (of_discriminator + of_generator).item()
        return step, torch.__version__
    if name == "cnn_bn_b128":
        def block(inputs, outputs):
            return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        model = nn.Sequential(*block(1, 32), *block(32, 64), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.5),
                              nn.Linear(128, 10)).to(memory_format=torch.channels_last)
        x = x.permute(0, 3, 1, 2)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    elif name == "transformer_dropout":
        model, y = Transformer(), y.flatten()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    elif name == "mlp_bf16":
        model, x = chain(784, 1024, 1024, 10).bfloat16(), x.bfloat16()
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
    else:
        model = Joined()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    forward = compiled(lambda x, y: F.cross_entropy(model(x).float(), y))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step, torch.__version__


def jax_step(name):
    import jax
    import jax.numpy as jnp
    from jax import lax

    dtype = jnp.bfloat16 if name == "mlp_bf16" else jnp.float32
    weights = {}

    def dense(layer, inputs, outputs, bias=True):
        bound = inputs ** -0.5
        weights[layer + ".w"] = jnp.asarray(uniform(inputs, outputs, low=-bound, high=bound), dtype)
        if bias:
            weights[layer + ".b"] = jnp.zeros(outputs, dtype)

    def norm(layer, width):
        weights[layer + ".g"], weights[layer + ".b"] = jnp.ones(width), jnp.zeros(width)

    def linear(p, layer, x):
        return x @ p[layer + ".w"] + p[layer + ".b"]

    def standard(p, layer, x, axes):
        centred = x - x.mean(axes, keepdims=True)
        return centred * lax.rsqrt((centred * centred).mean(axes, keepdims=True) + EPSILON) * p[layer + ".g"] + p[layer + ".b"]

    def dropout(key, x, rate):
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

    def entropy(logits, labels):
        logs = jax.nn.log_softmax(logits.astype(jnp.float32))
        return -jnp.take_along_axis(logs, labels[..., None], -1).mean()

    x, y = (jnp.asarray(a) for a in batch(name))
    adam, rate, betas, decay = True, 1e-3, (0.9, 0.999), 0.0
    if name == "cnn_bn_b128":
        for i, (a, b) in enumerate([(1, 32), (32, 64)]):
            bound = (9 * a) ** -0.5
            weights[f"conv{i}.w"] = jnp.asarray(uniform(3, 3, a, b, low=-bound, high=bound))
            norm(f"norm{i}", b)
        dense("hidden", 3136, 128)
        dense("output", 128, 10)

        def loss(p, key):
            h = x
            for i in range(2):
                h = lax.conv_general_dilated(h, p[f"conv{i}.w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
                h = jax.nn.relu(standard(p, f"norm{i}", h, (0, 1, 2)))
                b, s, _, c = h.shape
                h = h.reshape(b, s // 2, 2, s // 2, 2, c).max((2, 4))
            h = dropout(key, jax.nn.relu(linear(p, "hidden", h.reshape(128, -1))), 0.5)
            return entropy(linear(p, "output", h), y)
    elif name == "transformer_dropout":
        decay = 0.01
        weights["symbols"] = jnp.asarray(uniform(65, 128, low=-0.05, high=0.05))
        weights["positions"] = jnp.asarray(uniform(128, 128, low=-0.05, high=0.05))
        for i in range(4):
            norm(f"{i}.norm1", 128), dense(f"{i}.qkv", 128, 384), dense(f"{i}.output", 128, 128)
            norm(f"{i}.norm2", 128), dense(f"{i}.up", 128, 512), dense(f"{i}.down", 512, 128)
        norm("norm", 128)
        dense("head", 128, 65, bias=False)
        mask = jnp.tril(jnp.ones((128, 128), bool))

        def loss(p, key):
            h = p["symbols"][x] + p["positions"]
            for i in range(4):
                keys = jax.random.split(jax.random.fold_in(key, i), 3)
                z = linear(p, f"{i}.qkv", standard(p, f"{i}.norm1", h, -1))
                q, k, v = (s.reshape(16, 128, 4, 32).swapaxes(1, 2) for s in jnp.split(z, 3, -1))
                s = jax.nn.softmax(jnp.where(mask, q @ k.swapaxes(2, 3) * 32 ** -0.5, -jnp.inf), -1)
                z = (dropout(keys[0], s, 0.1) @ v).swapaxes(1, 2).reshape(16, 128, 128)
                h = h + dropout(keys[1], linear(p, f"{i}.output", z), 0.1)
                z = jax.nn.gelu(linear(p, f"{i}.up", standard(p, f"{i}.norm2", h, -1)), approximate=False)
                h = h + dropout(keys[2], linear(p, f"{i}.down", z), 0.1)
            return entropy(standard(p, "norm", h, -1) @ p["head.w"], y)
    elif name == "mlp_bf16":
        adam, rate, sizes = False, 0.01, [784, 1024, 1024, 10]
        for i in range(3):
            dense(f"{i}", sizes[i], sizes[i + 1])
        x = x.astype(dtype)

        def loss(p, key):
            h = jax.nn.relu(linear(p, "1", jax.nn.relu(linear(p, "0", x))))
            return entropy(linear(p, "2", h), y)
    elif name == "mlp_joined":
        for i in range(16):
            dense(f"part{i}", 32, 64)
        dense("hidden", 1024, 256)
        dense("output", 256, 10)

        def loss(p, key):
            joined = jnp.concatenate([jax.nn.relu(linear(p, f"part{i}", x[i])) for i in range(16)], -1)
            return entropy(linear(p, "output", jax.nn.relu(linear(p, "hidden", joined))), y)
    else:
        rate, betas = 2e-4, (0.5, 0.999)
        for layer, a, b in [("g0", 64, 256), ("g1", 256, 784), ("d0", 784, 256), ("d1", 256, 1)]:
            dense(layer, a, b)

        def bce(logits, target):
            return jnp.mean(jax.nn.softplus(logits) - target * logits)

        def both(p):
            fake = jnp.tanh(linear(p, "g1", jax.nn.relu(linear(p, "g0", y))))
            logits = linear(p, "d1", jax.nn.leaky_relu(linear(p, "d0", jnp.concatenate([x, fake])), 0.2))
            real, made = jnp.split(logits, 2)
            return bce(real, 1.0) + bce(made, 0.0), bce(made, 1.0)

    def gradients(p, key):
        if name != "gan":
            return jax.value_and_grad(loss)(p, key)
        losses, back = jax.vjp(both, p)
        of_discriminator, of_generator = back((1.0, 0.0))[0], back((0.0, 1.0))[0]
        return sum(losses), {k: (of_generator if k.startswith("g") else of_discriminator)[k] for k in p}

    def update(state, key):
        p, m, v, t = state
        value, g = gradients(p, jax.random.fold_in(key, t))
        t = t + 1
        if not adam:
            return (jax.tree.map(lambda a, b: a - (rate * b).astype(a.dtype), p, g), m, v, t), value
        m = jax.tree.map(lambda a, b: betas[0] * a + (1 - betas[0]) * b, m, g)
        v = jax.tree.map(lambda a, b: betas[1] * a + (1 - betas[1]) * b * b, v, g)
        scale, root = rate / (1 - betas[0] ** t), 1 / jnp.sqrt(1 - betas[1] ** t)
        new = jax.tree.map(lambda a, b, c: a * (1 - rate * decay) - scale * b / (jnp.sqrt(c) * root + 1e-8), p, m, v)
        return (new, m, v, t), value

    jitted = jax.jit(update, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [(weights, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.int32(0))]
    key = jax.random.key(0)

    def step():
        state[0], value = jitted(state[0], key)
        return float(value)
    return step, jax.__version__


def main():
    if options.workload not in BATCH:
        raise SystemExit(f"{options.workload}: not here; there are {', '.join(BATCH)}")
    mode = options.mode or ("eager" if options.peer == "torch" else "compile")
    step, version = (torch_step if options.peer == "torch" else jax_step)(options.workload)
    start = time.perf_counter()
    losses = [step() for _ in range(5)]
    first = time.perf_counter() - start
    losses += [step() for _ in range(15)]
    samples, end = [], time.perf_counter() + options.seconds
    while len(samples) < 7 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        samples.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(samples)
    peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({
        "peer": options.peer, "version": version, "mode": mode, "workload": options.workload, "kind": "train",
        "threads": options.threads, "batch": BATCH[options.workload], "step_ms": median, "min_ms": min(samples),
        "n": len(samples), "compile_s": max(0.0, first - 5e-3 * median), "peak_rss_mb": peak,
        "loss_1": losses[0], "loss_n": losses[-1], "loss_steps": len(losses),
    }))


if __name__ == "__main__":
    main()
