#!/usr/bin/env python3
"""Loads `gradc serve`, and onnxruntime behind FastAPI and uvicorn, with the same models, threads and clients: throughput and latency of both, in one run.

    pip install numpy onnx onnxruntime fastapi 'uvicorn[standard]'
    cargo build --release -p gradc-cli -p gradc-serve --features gradc-cli/serve,gradc-cli/onnx --bin gradc --example load
    python3 tools/compare_serve.py [--threads 2] [--seconds 60] [--clients 1,4,16,64] [--models cnn,encoder] > TABLE.md

The models have random weights: a convolutional network on 32x32 images, and an encoder as MiniLM is, of 6 layers of width 384 on 128 tokens. A request has one sample, as bytes:
with the binary extension of the Open Inference Protocol here, bare there; clients send eight different ones, keep their connections, and check each answer. The other server computes each
request by itself in a thread of its pool, as such servers are written; --peer-runs limits how many at once. Servers take turns, the one that isn't asked waits; the clients run on the same
cores, and what they took of them stands behind the table.

    python3 tools/compare_serve.py --soak 600

instead loads `gradc serve` alone with 64 clients for so many seconds, with room for 32 requests that wait, and says what its memory was on the way and which answers came: right ones, 429
and 503 alone are allowed.

    python3 tools/compare_serve.py --restart 5

instead kills `gradc serve` so many times (SIGKILL), and says how long it takes from its start until it is ready: without kept code, then with it.

    python3 tools/compare_serve.py --settings --clients 1,16 --seconds 10

instead loads `gradc serve` with each of the settings that docs/deployment.md names.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
TOKENS = 128
# Different samples, which clients send in turn.
SAMPLES = 8


class Nodes:
    """A graph that is put together."""

    def __init__(self, seed):
        self.nodes, self.stored, self.random = [], [], np.random.default_rng(seed)

    def keep(self, name, value):
        self.stored.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, name, *shape):
        scale = 1.0 / np.sqrt(np.prod(shape[:-1]) if len(shape) == 2 else np.prod(shape[1:]) or 1)
        return self.keep(name, (self.random.standard_normal(shape) * scale).astype(np.float32))

    def add(self, op, inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def model(self, x, y, path):
        self.nodes[-1].output[0] = y.name
        graph = helper.make_graph(self.nodes, "model", [x], [y], self.stored)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def cnn(path):
    """32 and 64 channels twice each, then a dense layer."""
    g = Nodes(1)
    x, channels = "x", 3
    for number, width in enumerate([32, 32, 64, 64]):
        kernel = g.weight(f"kernel{number}", width, channels, 3, 3)
        bias = g.keep(f"bias{number}", np.zeros(width, np.float32))
        x = g.add("Relu", [g.add("Conv", [x, kernel, bias], pads=[1, 1, 1, 1])])
        if number % 2:
            x = g.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
        channels = width
    x = g.add("Flatten", [x])
    g.add("Gemm", [x, g.weight("head", 64 * 8 * 8, 10), g.keep("head_bias", np.zeros(10, np.float32))])
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])
    g.model(image, helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10]), path)
    return "x", "FP32", np.random.default_rng(7).standard_normal((SAMPLES, 3, 32, 32)).astype(np.float32)


def encoder(path):
    """Blocks with attention of 12 heads, normalized behind each part."""
    g, width, heads = Nodes(2), 384, 12
    x = g.add("Gather", [g.weight("table", 30522, width), "ids"])
    x = g.add("Add", [x, g.weight("positions", TOKENS, width)])
    split = g.keep("split", np.array([0, 0, heads, width // heads], np.int64))
    joined = g.keep("joined", np.array([0, 0, width], np.int64))
    root = g.keep("root", np.float32((width // heads) ** -0.5))
    half, one, two = (g.keep(f"c{i}", np.float32(c)) for i, c in enumerate([0.5, 1.0, 2**-0.5]))

    def dense(x, name, rows, columns):
        product = g.add("MatMul", [x, g.weight(name, rows, columns)])
        return g.add("Add", [product, g.keep(f"{name}_bias", np.zeros(columns, np.float32))])

    def normalized(x, name):
        scale, shift = np.ones(width, np.float32), np.zeros(width, np.float32)
        return g.add("LayerNormalization", [x, g.keep(f"{name}_scale", scale), g.keep(f"{name}_shift", shift)], axis=-1)

    x = normalized(x, "first")
    for layer in range(6):
        parts = [g.add("Reshape", [dense(x, f"{p}{layer}", width, width), split]) for p in "qkv"]
        q, v = (g.add("Transpose", [p], perm=[0, 2, 1, 3]) for p in (parts[0], parts[2]))
        scores = g.add("Mul", [g.add("MatMul", [q, g.add("Transpose", [parts[1]], perm=[0, 2, 3, 1])]), root])
        heard = g.add("MatMul", [g.add("Softmax", [scores], axis=-1), v])
        heard = g.add("Reshape", [g.add("Transpose", [heard], perm=[0, 2, 1, 3]), joined])
        x = normalized(g.add("Add", [x, dense(heard, f"o{layer}", width, width)]), f"attention{layer}")
        wide = dense(x, f"wide{layer}", width, 4 * width)
        gate = g.add("Mul", [g.add("Add", [g.add("Erf", [g.add("Mul", [wide, two])]), one]), half])
        x = normalized(g.add("Add", [x, dense(g.add("Mul", [wide, gate]), f"n{layer}", 4 * width, width)]), f"end{layer}")
    g.add("ReduceMean", [x], axes=[1], keepdims=0)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", TOKENS])
    g.model(ids, helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", width]), path)
    return "ids", "INT64", np.random.default_rng(8).integers(0, 30522, (SAMPLES, TOKENS))


MODELS = {"cnn": cnn, "encoder": encoder}

# The other server, as a program of its own.
PEER = """
import sys
import anyio.to_thread
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

path, port, threads, runs, name, dtype, *shape = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
shape, app = [int(n) for n in shape], FastAPI()

@app.post("/predict")
async def predict(request: Request):
    x = np.frombuffer(await request.body(), dtype).reshape(shape)
    y = (await run_in_threadpool(session.run, None, {name: x}))[0]
    return Response(y.tobytes(), media_type="application/octet-stream")

@app.get("/ready")
async def ready():
    anyio.to_thread.current_default_thread_limiter().total_tokens = int(runs)
    return {}

uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
"""


def wait(url, server):
    for _ in range(24_000):
        if server.poll() is not None:
            sys.exit(f"the server ended: {server.args}")
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"{url} doesn't come")


def load(port, path, bodies, clients, seconds, headers=()):
    """What the clients say, with the seconds of processors that they took."""
    run = [os.path.join(RELEASE, "examples", "load"), f"127.0.0.1:{port}", path, bodies, str(clients), str(seconds)]
    taken = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = taken()
    told = json.loads(subprocess.run(run + list(headers), check=True, capture_output=True, text=True).stdout)
    return {**told, "client_share": (taken() - before) / (seconds * os.cpu_count())}


def settle(server):
    """Until it does nothing by itself any more: programs for larger batches are compiled while the first one answers."""
    def taken():
        with open(f"/proc/{server.pid}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    before = taken()
    while True:
        time.sleep(1)
        now = taken()
        if now - before < 0.02:
            return
        before = now


def start_gradc(model, arguments, folder, *options, before=()):
    run = [*before, os.path.join(RELEASE, "gradc"), "serve", f"m={model}", "--port", str(arguments.port)]
    run += ["--cache", os.path.join(folder, "cache"), *arguments.options.split(), *options]
    server = subprocess.Popen(run, stderr=subprocess.DEVNULL)
    wait(f"http://127.0.0.1:{arguments.port}/v2/health/ready", server)
    return server


def end(server):
    server.terminate()
    server.wait()


def binary(name, kind, x):
    """A request's body with its header."""
    port = {"name": name, "shape": list(x.shape), "datatype": kind, "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [port], "parameters": {"binary_data_output": True}}).encode()
    return head + x.tobytes(), f"Inference-Header-Content-Length: {len(head)}"


def write_bodies(folder, bodies):
    os.mkdir(folder)
    for number, body in enumerate(bodies):
        with open(os.path.join(folder, str(number)), "wb") as file:
            file.write(body)
    return folder


class Model:
    """A model's file, and requests to it in both forms."""

    def __init__(self, name, folder):
        self.name, self.path = name, os.path.join(folder, f"{name}.onnx")
        self.tensor, kind, x = MODELS[name](self.path)
        samples = np.split(x, SAMPLES)
        self.dtype, self.shape = x.dtype.str, samples[0].shape
        asked = [binary(self.tensor, kind, sample) for sample in samples]
        self.header = asked[0][1]
        self.bodies = write_bodies(os.path.join(folder, f"{name}.gradc"), [body for body, _ in asked])
        self.bare = write_bodies(os.path.join(folder, f"{name}.bare"), [sample.tobytes() for sample in samples])

    def load(self, port, clients, seconds):
        return load(port, "/v2/models/m/infer", self.bodies, clients, seconds, [self.header])

    def start_peer(self, port, arguments):
        run = [sys.executable, "-c", PEER, self.path, str(port), str(arguments.threads), str(arguments.peer_runs)]
        server = subprocess.Popen(run + [self.tensor, self.dtype, *map(str, self.shape)])
        wait(f"http://127.0.0.1:{port}/ready", server)
        return server

    def agree(self, port, other):
        """Both servers predict the same, up to rounding."""
        for number in map(str, range(SAMPLES)):
            answers = []
            for url, folder in [(f"{port}/v2/models/m/infer", self.bodies), (f"{other}/predict", self.bare)]:
                with open(os.path.join(folder, number), "rb") as file:
                    headers = dict([self.header.split(": ")] if folder == self.bodies else [])
                    headers["Content-Type"] = "application/octet-stream"
                    request = urllib.request.Request(f"http://127.0.0.1:{url}", file.read(), headers)
                with urllib.request.urlopen(request) as response:
                    json_length = int(response.headers.get("Inference-Header-Content-Length", 0))
                    answers.append(np.frombuffer(response.read()[json_length:], np.float32))
            np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-3 * np.abs(answers[1]).max())

    def load_peer(self, port, clients, seconds):
        return load(port, "/predict", self.bare, clients, seconds)


def resident(server):
    with open(f"/proc/{server.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def compare(arguments, folder):
    print("| model | clients | gradc, a second | p50, ms | p99, ms | onnxruntime, a second | p50, ms | p99, ms | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    shares = {}
    for name in arguments.models.split(","):
        model, port, other = Model(name, folder), arguments.port, arguments.port + 1
        servers = []
        try:
            servers.append(start_gradc(model.path, arguments, folder, "--threads", str(arguments.threads)))
            servers.append(model.start_peer(other, arguments))
            settle(servers[0])
            model.agree(port, other)
            # Both have touched all of their memory.
            model.load(port, 32, arguments.warm)
            model.load_peer(other, 32, arguments.warm)
            for clients in map(int, arguments.clients.split(",")):
                both = model.load(port, clients, arguments.seconds), model.load_peer(other, clients, arguments.seconds)
                for told in both:
                    if told["wrong"] or set(told["statuses"]) != {"200"}:
                        sys.exit(f"{name}, {clients} clients: {told}")
                row = [f"{told['per_second']:.0f} | {told['p50_ms']:.2f} | {told['p99_ms']:.2f}" for told in both]
                ratio = both[0]["per_second"] / both[1]["per_second"]
                print(f"| {name} | {clients} | {row[0]} | {row[1]} | {ratio:.2f} |", flush=True)
                shares[name, clients] = [f"{told['client_share']:.0%}" for told in both]
        finally:
            for server in servers:
                end(server)
    print("\nThe clients took of all processors, beside gradc and beside onnxruntime:", end=" ")
    print("; ".join(f"{name} {clients}: {', '.join(both)}" for (name, clients), both in shares.items()))


def soak(arguments, folder):
    model = Model(arguments.models.split(",")[0], folder)
    gradc = start_gradc(model.path, arguments, folder, "--threads", str(arguments.threads), "--queue", "32")
    try:
        settle(gradc)
        print(f"at the start: {resident(gradc):.1f} MB", flush=True)
        part = max(arguments.soak / 10, 1)
        for number in range(10):
            told = model.load(arguments.port, 64, part)
            print(f"{(number + 1) * part:.0f} s: {resident(gradc):.1f} MB, {told}", flush=True)
            if told["wrong"] or not set(told["statuses"]) <= {"200", "429", "503"}:
                sys.exit("an answer that isn't documented")
    finally:
        end(gradc)


def restart(arguments, folder):
    for name in arguments.models.split(","):
        model, seconds = Model(name, folder), []
        for _ in range(arguments.restart + 1):
            start = time.monotonic()
            gradc = start_gradc(model.path, arguments, folder, "--threads", str(arguments.threads))
            seconds.append(time.monotonic() - start)
            try:
                settle(gradc)
                model.load(arguments.port, 32, 0.5)
                memory = resident(gradc)
            finally:
                gradc.kill()
                gradc.wait()
        again = ", ".join(f"{s:.2f}" for s in seconds[1:])
        size = os.path.getsize(model.path) / 1e6
        print(f"{name}, {size:.1f} MB: ready after {seconds[0]:.2f} s, after kill -9 after {again} s; then {memory:.1f} MB", flush=True)


HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


@contextlib.contextmanager
def huge_pages():
    """Large blocks on pages of 2 MiB, for servers that are started meanwhile; as root alone."""
    with open(HUGE_PAGES) as file:
        before = file.read().split("[")[1].split("]")[0]
    try:
        with open(HUGE_PAGES, "w") as file:
            file.write("always")
        yield
    finally:
        with open(HUGE_PAGES, "w") as file:
            file.write(before)


def settings(arguments, folder):
    cores = str(os.cpu_count())
    whole = ["--threads", cores]
    rows = [
        ("as it is", [], [], contextlib.nullcontext),
        ("a thread and an instance for each core", [], ["--threads", "1", "--instances", cores], contextlib.nullcontext),
        ("all threads, one instance", [], whole, contextlib.nullcontext),
        ("pinned", ["taskset", "-c", f"0-{os.cpu_count() - 1}"], whole, contextlib.nullcontext),
        ("huge pages", [], whole, huge_pages),
    ]
    print("| model | setting | clients | answers a second | p50, ms | p99, ms |")
    print("|---|---|---|---|---|---|")
    for name in arguments.models.split(","):
        model = Model(name, folder)
        for what, before, options, around in rows:
            with around():
                gradc = start_gradc(model.path, arguments, folder, *options, before=before)
                try:
                    settle(gradc)
                    model.load(arguments.port, 32, 1)
                    for clients in map(int, arguments.clients.split(",")):
                        told = model.load(arguments.port, clients, arguments.seconds)
                        row = f"{told['per_second']:.0f} | {told['p50_ms']:.2f} | {told['p99_ms']:.2f}"
                        print(f"| {name} | {what} | {clients} | {row} |", flush=True)
                finally:
                    end(gradc)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=5)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--models", default="cnn,encoder")
    parser.add_argument("--options", default="", help="further options of `gradc serve`")
    parser.add_argument("--port", type=int, default=18500)
    parser.add_argument("--peer-runs", type=int, default=40, help="runs of the other server at once; FastAPI's own limit is 40")
    parser.add_argument("--soak", type=float)
    parser.add_argument("--restart", type=int)
    parser.add_argument("--settings", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = [(arguments.soak, soak), (arguments.restart, restart), (arguments.settings, settings), (True, compare)]
        next(run for wanted, run in asked if wanted)(arguments, folder)


if __name__ == "__main__":
    main()
