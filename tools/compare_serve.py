#!/usr/bin/env python3
"""Loads `gradc serve`, and onnxruntime behind FastAPI and uvicorn, with the same models, threads and clients: throughput and latency of both, in one run.

    pip install numpy onnx onnxruntime fastapi uvicorn
    cargo build --release -p gradc-cli --features serve,onnx
    cargo build --release -p gradc-serve --example load
    python3 tools/compare_serve.py [--threads 2] [--seconds 60] [--clients 1,4,16,64] [--models cnn,encoder] > TABLE.md

    python3 tools/compare_serve.py --soak 600

instead loads `gradc serve` alone with 64 clients for so many seconds, with room for 32 requests that wait, and says what its memory was on the way and which answers came: right ones, 429
and 503 alone are allowed.

The models have random weights: a convolutional network on 32x32 images, and an encoder as MiniLM is, of 6 layers of width 384 on 128 tokens. A request has one sample, as bytes:
with the binary extension of the Open Inference Protocol here, bare there. The other server computes each request by itself in a thread of its pool, as such servers are written.
"""

import argparse
import json
import os
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
    return "x", "FP32", np.random.default_rng(7).standard_normal((1, 3, 32, 32)).astype(np.float32)


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
    return "ids", "INT64", np.random.default_rng(8).integers(0, 30522, (1, TOKENS))


MODELS = {"cnn": cnn, "encoder": encoder}

# The other server, as a program of its own.
PEER = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

path, port, threads, name, dtype, *shape = sys.argv[1:]
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
def ready():
    return {}

uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
"""


def wait(url, server):
    for _ in range(1200):
        if server.poll() is not None:
            sys.exit(f"the server ended: {server.args}")
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url} doesn't come")


def load(port, path, body, clients, seconds, headers=()):
    run = [os.path.join(RELEASE, "examples", "load"), f"127.0.0.1:{port}", path, body, str(clients), str(seconds)]
    return json.loads(subprocess.run(run + list(headers), check=True, capture_output=True, text=True).stdout)


def start_gradc(model, port, threads, folder, *options):
    run = [os.path.join(RELEASE, "gradc"), "serve", f"m={model}", "--port", str(port), "--threads", str(threads)]
    server = subprocess.Popen(run + ["--cache", os.path.join(folder, "cache"), *options], stderr=subprocess.PIPE, text=True)
    wait(f"http://127.0.0.1:{port}/v2/health/ready", server)
    return server


def binary(name, kind, x):
    """A request's body with its header."""
    port = {"name": name, "shape": list(x.shape), "datatype": kind, "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [port], "parameters": {"binary_data_output": True}}).encode()
    return head + x.tobytes(), f"Inference-Header-Content-Length: {len(head)}"


def resident(server):
    with open(f"/proc/{server.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def compare(arguments, folder):
    print(f"| model | clients | gradc, a second | p50 | p99 | onnxruntime, a second | p50 | p99 | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.models.split(","):
        path = os.path.join(folder, f"{name}.onnx")
        tensor, kind, x = MODELS[name](path)
        body, header = binary(tensor, kind, x)
        files = {}
        for what, content in [("gradc", body), ("peer", x.tobytes())]:
            files[what] = os.path.join(folder, f"{name}.{what}")
            with open(files[what], "wb") as file:
                file.write(content)
        port, other = arguments.port, arguments.port + 1
        options = [option for option in arguments.options.split() if option]
        gradc = start_gradc(path, port, arguments.threads, folder, *options)
        run = [sys.executable, "-c", PEER, path, str(other), str(arguments.threads), tensor, x.dtype.str, *map(str, x.shape)]
        peer = subprocess.Popen(run)
        try:
            wait(f"http://127.0.0.1:{other}/ready", peer)
            # Both have all code compiled and all memory touched.
            load(port, "/v2/models/m/infer", files["gradc"], 32, arguments.warm, [header])
            load(other, "/predict", files["peer"], 4, 1)
            for clients in map(int, arguments.clients.split(",")):
                ours = load(port, "/v2/models/m/infer", files["gradc"], clients, arguments.seconds, [header])
                theirs = load(other, "/predict", files["peer"], clients, arguments.seconds)
                for told in (ours, theirs):
                    if told["wrong"] or set(told["statuses"]) != {"200"}:
                        sys.exit(f"{name}, {clients} clients: {told}")
                row = [f"{told['per_second']:.0f} | {told['p50_ms']:.2f} | {told['p99_ms']:.2f}" for told in (ours, theirs)]
                print(f"| {name} | {clients} | {row[0]} | {row[1]} | {ours['per_second'] / theirs['per_second']:.2f} |", flush=True)
        finally:
            for server in (gradc, peer):
                server.terminate()
                server.wait()


def soak(arguments, folder):
    path, body_path = os.path.join(folder, "cnn.onnx"), os.path.join(folder, "body")
    body, header = binary(*cnn(path))
    with open(body_path, "wb") as file:
        file.write(body)
    gradc = start_gradc(path, arguments.port, arguments.threads, folder, "--queue", "32")
    try:
        part = max(arguments.soak / 10, 1)
        for number in range(10):
            told = load(arguments.port, "/v2/models/m/infer", body_path, 64, part, [header])
            print(f"{(number + 1) * part:.0f} s: {resident(gradc):.1f} MB, {told}", flush=True)
            if told["wrong"] or not set(told["statuses"]) <= {"200", "429", "503"}:
                sys.exit("an answer that isn't documented")
    finally:
        gradc.terminate()
        gradc.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=5)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--models", default="cnn,encoder")
    parser.add_argument("--options", default="", help="further options of `gradc serve`")
    parser.add_argument("--port", type=int, default=18500)
    parser.add_argument("--soak", type=float)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (soak if arguments.soak else compare)(arguments, folder)


if __name__ == "__main__":
    main()
