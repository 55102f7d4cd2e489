#!/usr/bin/env python3
"""Runs small pretrained ONNX models by gradc and by onnxruntime: compares all outputs, on random and on real inputs, and times both, alternately.

    pip install numpy onnxruntime
    scripts/fetch_onnx_models.sh data/models
    cargo build --release -p gradc-cli --features onnx
    taskset -c 0 python3 tools/compare_onnx.py [--threads 1] [--filter REGEX] [--rounds 7] [--check] > TABLE.md

Real inputs are digits of data/mnist-subset side by side, bytes of this repository's files, and a recording: --audio names a mono or stereo .wav file of 16 bits, without which
one is looked for among the tests of Python's own library. Outputs must agree within 1e-4, relative to the output's largest element; 2e-7 doesn't count, for onnxruntime's sigmoid is
no nearer to the right one. Each round runs gradc for a moment, then onnxruntime, with as many threads; what counts is the median of the rounds' medians. The ratio is gradc's time by
onnxruntime's: above 1 gradc is slower.

    pip install onnx torch
    python3 tools/compare_onnx.py --exact [--filter REGEX] > TABLE.md

instead says how far either is from an evaluation in f64 by the standard's own reference: the largest error relative to the output's largest element, and the largest relative error of
one element.

    python3 tools/compare_onnx.py --same FOLDER

instead asks onnxruntime whether FOLDER/model.onnx makes outputs.safetensors of inputs.safetensors, which gradc wrote there (`transfer_vision` does).
"""

import argparse
import glob
import gzip
import json
import math
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import wave

import numpy as np
import onnxruntime

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BOUND = 1e-4
NOISE = 2e-7
TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def save(path, tensors):
    """Writes a safetensors file."""
    header, parts, at = {}, [], 0
    for name, value in tensors.items():
        kind = next(kind for kind, dtype in TYPES.items() if np.dtype(dtype) == value.dtype)
        data = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(parts))


def load(path):
    """Reads a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    cut = {name: data[info["data_offsets"][0]:info["data_offsets"][1]] for name, info in header.items()}
    return {name: np.frombuffer(cut[name], TYPES[info["dtype"]]).reshape(info["shape"]) for name, info in header.items()}


def recording(path, rate, count):
    """The recording's loudest stretch of so many samples, at another rate; repeated where it is too short."""
    with wave.open(path) as file:
        own, channels, data = file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())
    x = np.frombuffer(data, "<i2").reshape(-1, channels).mean(1) / 32768
    x = np.interp(np.arange(int(len(x) * rate / own)) * own / rate, np.arange(len(x)), x)
    start = max(0, min(int(np.argmax(abs(x))) - count // 4, len(x) - count))
    return np.resize(x[start:], count).astype(np.float32)


def digits(height, width):
    """Rows of digits, enlarged to half of the height each, as an image from -1 to 1."""
    with gzip.open(f"{ROOT}/data/mnist-subset/t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read()[16:], "u1").reshape(-1, 28, 28)
    times = max(1, height // 56)
    down, across = -(-height // (28 * times)), -(-width // (28 * times))
    rows = images[:down * across].reshape(down, across, 28, 28).transpose(0, 2, 1, 3).reshape(down * 28, across * 28)
    image = np.repeat(np.repeat(rows, times, 0), times, 1)[:height, :width]
    return np.broadcast_to((1 - image / 127.5).astype(np.float32), (1, 3, height, width)).copy()


def text_bytes():
    """The first and the last 1024 bytes of two files, as the model wants them."""
    rows = []
    for name in ("README.md", "src/lib.rs"):
        data = open(f"{ROOT}/{name}", "rb").read()
        rows.append(np.concatenate([np.frombuffer(data[:1024], "u1"), np.frombuffer(data[-1024:], "u1")]))
    return np.array(rows, np.int32)


def models(audio):
    """For each model: the options of `gradc run`, inputs that these fix, and inputs that are random and real."""
    random = np.random.default_rng(1)

    def noise(*dims):
        return random.uniform(-0.5, 0.5, dims).astype(np.float32)

    rate = {"sr": np.array(16000, np.int64)}
    state = {"state": np.zeros((2, 1, 128), np.float32)}
    pitch, speech = "serving_default_input_2:0", ["--dim", "batch=1", "--dim", "sequence=576", "--value", "sr=16000"]
    return {
        "silero_vad_op18_ifless": (speech, rate, {"input": noise(1, 576), "state": noise(2, 1, 128)},
                                   {"input": recording(audio, 16000, 576)[None]} | state),
        "basic_pitch": (["--shape", f"{pitch}=1,43844,1"], {}, {pitch: noise(1, 43844, 1)},
                        {pitch: recording(audio, 22050, 43844)[None, :, None]}),
        "magika": (["--shape", "bytes=2,2048"], {}, {"bytes": random.integers(0, 257, (2, 2048)).astype(np.int32)},
                   {"bytes": text_bytes()}),
        "ppocr2_cls": (["--shape", "x=1,3,48,192"], {}, {"x": noise(1, 3, 48, 192)}, {"x": digits(48, 192)}),
        "ppocr4_det": (["--shape", "x=1,3,320,320"], {}, {"x": noise(1, 3, 320, 320)}, {"x": digits(320, 320)}),
    }


class Peer:
    """A model in onnxruntime."""

    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def outputs(self, inputs):
        return dict(zip((port.name for port in self.session.get_outputs()), self.session.run(None, inputs)))

    def median(self, inputs, seconds):
        times, end = [], time.perf_counter() + seconds
        while len(times) < 4 or time.perf_counter() < end:
            start = time.perf_counter()
            self.session.run(None, inputs)
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:]) * 1e3


def gradc(command, model, settings, threads, inputs, outputs=None, runs=1):
    """Runs the command; gives the median time in ms."""
    line = [command, "run", model, *settings, "--threads", str(threads), "--inputs", inputs, "--runs", str(runs)]
    done = subprocess.run(line + (["--outputs", outputs] if outputs else []), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return float(done.stdout.split()[0])


def difference(got, want):
    """The largest difference of elements beyond the noise, relative to the largest element."""
    if got.shape != want.shape:
        return math.inf
    if want.dtype.kind != "f":
        return 0.0 if (got == want).all() else math.inf
    apart = abs(got.astype(np.float64) - want).max()
    return 0.0 if apart <= NOISE else float(apart / abs(want).max())


def doubled(path):
    """A model's standard evaluation in f64: all of its floats are doubles."""
    import onnx
    import torch
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    single, double = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE

    def tensor(stored):
        if stored.data_type == single:
            stored.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored).astype(np.float64), stored.name))

    def graph(g):
        for stored in g.initializer:
            tensor(stored)
        for port in [*g.input, *g.output, *g.value_info]:
            if port.type.tensor_type.elem_type == single:
                port.type.tensor_type.elem_type = double
        for node in g.node:
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == single:
                    attribute.i = double
                if attribute.HasField("t"):
                    tensor(attribute.t)
                if attribute.HasField("g"):
                    graph(attribute.g)

    class Conv(OpRun):
        """The reference's own takes minutes."""

        def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=None, kernel_shape=None, pads=None, strides=None):
            n = x.ndim - 2
            strides, dilations = list(strides or [1] * n), list(dilations or [1] * n)
            before, after = ([0] * n, [0] * n) if not pads else (list(pads[:n]), list(pads[n:]))
            if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
                for i in range(n):
                    reach = (w.shape[2 + i] - 1) * dilations[i] + 1
                    all_ = max(0, (-(-x.shape[2 + i] // strides[i]) - 1) * strides[i] + reach - x.shape[2 + i])
                    less, more = all_ // 2, all_ - all_ // 2
                    before[i], after[i] = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
            x = np.pad(x, [(0, 0), (0, 0), *zip(before, after)])
            convolution = [torch.nn.functional.conv1d, torch.nn.functional.conv2d][n - 1]
            bias = None if b is None else torch.from_numpy(b.copy())
            y = convolution(torch.from_numpy(x), torch.from_numpy(w.copy()), bias, strides, 0, dilations, group or 1)
            return (y.numpy(),)

    class GlobalMaxPool(OpRun):
        """The reference's own loses the axes."""

        def _run(self, x):
            return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)

    class BatchNormalization(OpRun):
        """The reference's own takes statistics of the batch before version 14."""

        def _run(self, x, scale, bias, mean, variance, epsilon=1e-5, momentum=None, training_mode=None):
            column = [-1] + [1] * (x.ndim - 2)
            factor = scale / np.sqrt(variance + epsilon)
            return (x * factor.reshape(column) + (bias - mean * factor).reshape(column),)

    model = onnx.load(path)
    graph(model.graph)
    evaluator = ReferenceEvaluator(model, new_ops=[Conv, GlobalMaxPool, BatchNormalization])

    def run(inputs):
        inputs = {name: value.astype(np.float64) if value.dtype == np.float32 else value for name, value in inputs.items()}
        return dict(zip(evaluator.output_names, evaluator.run(None, inputs)))

    return run


def errors(got, exact):
    """The largest error of any output relative to its largest element, and the largest relative error of an element."""
    apart = {name: abs(got[name] - value) for name, value in exact.items() if value.dtype.kind == "f"}
    whole = max(float(error.max() / abs(exact[name]).max()) for name, error in apart.items())
    single = max(float((error / np.maximum(abs(exact[name]), 1e-300)).max()) for name, error in apart.items())
    return f"{whole:.1e} / {single:.1e}"


def exact(options, audio):
    """How far gradc and onnxruntime are from an evaluation in f64."""
    print("| model | inputs | gradc: of the largest element / of each | onnxruntime |\n|---|---|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for name, (settings, fixed, *kinds) in models(audio).items():
            if not re.search(options.filter, name):
                continue
            path = f"{options.models}/{name}.onnx"
            peer, right = Peer(path, options.threads), doubled(path)
            for kind, inputs in zip(("random", "real"), kinds):
                save(f"{work}/inputs.safetensors", inputs)
                gradc(options.gradc, path, settings, options.threads, f"{work}/inputs.safetensors", f"{work}/out.safetensors")
                want = right(inputs | fixed)
                ours, theirs = errors(load(f"{work}/out.safetensors"), want), errors(peer.outputs(inputs | fixed), want)
                print(f"| {name} | {kind} | {ours} | {theirs} |", flush=True)


def same(folder):
    """Compares what onnxruntime makes of a folder's model and inputs with the folder's outputs."""
    want = load(f"{folder}/outputs.safetensors")
    got = Peer(f"{folder}/model.onnx", 1).outputs(load(f"{folder}/inputs.safetensors"))
    apart = max(difference(value, got[name]) for name, value in want.items())
    print(f"{len(want)} outputs, {apart:.1e} apart")
    if apart >= BOUND:
        sys.exit("that is another computation")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=f"{ROOT}/data/models")
    parser.add_argument("--gradc", default=f"{ROOT}/target/release/gradc")
    parser.add_argument("--audio", default=None, help="a .wav file")
    parser.add_argument("--filter", default="", help="only models that this regular expression finds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each in each round")
    parser.add_argument("--check", action="store_true", help="compare the outputs, time nothing")
    parser.add_argument("--same", metavar="FOLDER", help="compare onnxruntime's outputs with those in a folder")
    parser.add_argument("--exact", action="store_true", help="compare both with an evaluation in f64")
    options = parser.parse_args()
    if options.same:
        return same(options.same)
    audio = options.audio or next(iter(glob.glob(f"{sysconfig.get_path('stdlib')}/test/**/pluck-pcm16.wav", recursive=True)), None)
    if audio is None:
        sys.exit("no recording: name a .wav file by --audio")
    if options.exact:
        return exact(options, audio)
    print("| model | random inputs | real inputs | gradc, ms | onnxruntime, ms | ratio |\n|---|---:|---:|---:|---:|---:|", flush=True)
    ratios, worst = [], 0.0
    with tempfile.TemporaryDirectory() as work:
        # Each round starts the command anew: code is kept between them.
        os.environ.setdefault("GRADC_CACHE", f"{work}/code")
        for name, (settings, fixed, *kinds) in models(audio).items():
            if not re.search(options.filter, name):
                continue
            path = f"{options.models}/{name}.onnx"
            peer, cells = Peer(path, options.threads), []
            for kind, inputs in zip(("random", "real"), kinds):
                save(f"{work}/{kind}.safetensors", inputs)
                gradc(options.gradc, path, settings, options.threads, f"{work}/{kind}.safetensors", f"{work}/out.safetensors")
                got, want = load(f"{work}/out.safetensors"), peer.outputs(inputs | fixed)
                apart = max(difference(got[port], want[port]) for port in want)
                worst = max(worst, apart)
                cells.append(f"{apart:.1e}")
            if not options.check:
                once = peer.median(kinds[1] | fixed, options.seconds)
                ours, theirs = [], []
                for _ in range(options.rounds):
                    runs = max(4, int(options.seconds * 1e3 / max(once, 1e-3)))
                    ours.append(gradc(options.gradc, path, settings, options.threads, f"{work}/real.safetensors", runs=runs))
                    theirs.append(peer.median(kinds[1] | fixed, options.seconds))
                ours, theirs = statistics.median(ours), statistics.median(theirs)
                ratios.append(ours / theirs)
                cells += [f"{ours:.4g}", f"{theirs:.4g}", f"{ours / theirs:.2f}"]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    if ratios:
        print(f"\n{options.threads} threads, geometric mean of the ratios {math.exp(statistics.fmean(map(math.log, ratios))):.2f}")
    if worst >= BOUND:
        sys.exit(f"outputs are {worst:.1e} apart")


if __name__ == "__main__":
    main()
