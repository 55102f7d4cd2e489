#!/usr/bin/env python3
"""Writes what onnxruntime computes of small pretrained models, for the tests of the import:

  python3 tools/reference_onnx.py MODELS onnx/tests/reference

MODELS is what scripts/fetch_onnx_models.sh filled. Needs numpy and onnxruntime. Inputs are noise by a formula that the tests have, too; of each output some hundred elements
are written, at equal distances."""
import json, os, sys
import numpy as np
import onnxruntime

# Most elements of an output that are written.
MOST = 300


def noise(shape, k):
    """Numbers from 0 to 1 by their places."""
    places = np.arange(int(np.prod(shape)), dtype=np.float64)
    x = np.sin(places * 12.9898 + k * 78.233) * 43758.5453
    return (x - np.floor(x)).reshape(shape)


def audio(shape, k):
    return (noise(shape, k) - 0.5).astype(np.float32)


MODELS = {
    "silero_vad_op18_ifless": lambda: {
        "input": audio((1, 576), 1), "state": audio((2, 1, 128), 2), "sr": np.array(16000, np.int64)},
    "basic_pitch": lambda: {"serving_default_input_2:0": audio((1, 43844, 1), 1)},
    "magika": lambda: {"bytes": np.floor(noise((2, 2048), 1) * 257).astype(np.int32)},
    "ppocr2_cls": lambda: {"x": audio((1, 3, 48, 192), 1)},
}


def main():
    folder, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    for name, inputs in MODELS.items():
        session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", providers=["CPUExecutionProvider"])
        found = {}
        for port, value in zip(session.get_outputs(), session.run(None, inputs())):
            flat = value.astype(np.float64).reshape(-1)
            stride = max(1, -(-flat.size // MOST))
            found[port.name] = {"dims": list(value.shape), "stride": stride, "largest": float(abs(flat).max()),
                                "values": [float(f"{v:.8g}") for v in flat[::stride]]}
        with open(f"{out}/{name}.json", "w") as file:
            json.dump(found, file, indent=None, separators=(",", ":"))
            file.write("\n")
        print(name, {k: v["dims"] for k, v in found.items()})


main()
