"""Trains the convolutional network on handwritten digits from Python, by steps that gradc has compiled ahead of time, and reads digits with what it has learned.

    cargo run --release -p gradc-cli -- build cnn --entry train,infer --shared -o build
    gunzip -c data/mnist-subset/train-images-idx3-ubyte.gz > build/images
    gunzip -c data/mnist-subset/train-labels-idx1-ubyte.gz > build/labels
    python3 examples/python/train_cnn.py build images labels

Needs numpy. The manifests say what memory a step needs: the script knows no size, and no name but those of the model's inputs and outputs.
"""

import ctypes
import json
import pathlib
import sys

import numpy

DTYPES = {"f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8", "u8": "u1", "bool": "?", "f16": "f2", "bf16": "u2"}


def aligned(count, align):
    """So many bytes of zeros, whose address is a multiple of `align`."""
    memory = numpy.zeros(count + align, numpy.uint8)
    start = -memory.ctypes.data % align
    return memory[start : start + count]


class Step:
    """A step in a shared library. `inputs`, `outputs` and `states` are arrays in the memory that it reads and writes."""

    def __init__(self, library, manifest, states=None):
        """Takes the block of states of another step whose entry was built together with this one; without it, a block of its own, in which nothing is set."""
        functions = manifest["functions"]
        align = manifest["align"]
        self.run, self.start = library[functions["step"]], library[functions["init"]]
        self.message = library[functions["status_message"]]
        self.message.restype = ctypes.c_char_p
        self.block = aligned(manifest["state_bytes"], align) if states is None else states
        self.arena = aligned(manifest["arena_bytes"] + manifest["arena_bytes_per_thread"], align)
        self.states = {state["name"]: self._state(state) for state in manifest["states"]}
        self.inputs, self.outputs = ({p["name"]: self._port(p, align) for p in manifest[s]} for s in ("inputs", "outputs"))
        self.context = self._context(manifest)

    def _state(self, state):
        dtype = numpy.dtype(DTYPES[state["dtype"]])
        count = int(numpy.prod(state["shape"]))
        view = self.block[state["offset"] : state["offset"] + count * dtype.itemsize]
        return view.view(dtype).reshape(state["shape"])

    @staticmethod
    def _port(port, align):
        dtype = numpy.dtype(DTYPES[port["dtype"]])
        memory = aligned(int(numpy.prod(port["shape"])) * dtype.itemsize, align)
        return memory.view(dtype).reshape(port["shape"])

    def _context(self, manifest):
        """The struct NAME_context of the header."""
        ports = [(side, port["name"]) for side in ("inputs", "outputs") for port in manifest[side]]
        fields = [("abi_version", ctypes.c_uint32), ("threads", ctypes.c_uint32)]
        fields += [("states", ctypes.c_void_p), ("state_bytes", ctypes.c_uint64)]
        fields += [("arena", ctypes.c_void_p), ("arena_bytes", ctypes.c_uint64)]
        fields += [("parallel_for", ctypes.c_void_p), ("user", ctypes.c_void_p), ("processor", ctypes.c_uint64)]
        fields += [(f"port_{at}", ctypes.c_void_p) for at in range(len(ports))]
        context = type("Context", (ctypes.Structure,), {"_fields_": fields})()
        context.abi_version = manifest["abi_version"]
        context.states, context.state_bytes = self.block.ctypes.data, self.block.nbytes
        context.arena, context.arena_bytes = self.arena.ctypes.data, self.arena.nbytes
        for at, (side, name) in enumerate(ports):
            setattr(context, f"port_{at}", getattr(self, side)[name].ctypes.data)
        return context

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.message(status).decode())

    def init(self, seed=0):
        """Gives the states the values that they start with."""
        self.check(self.start(ctypes.byref(self.context), ctypes.c_uint64(seed)))

    def __call__(self):
        """Runs the step once."""
        self.check(self.run(ctypes.byref(self.context)))


def read_idx(path):
    """The bytes of a file of the format IDX, in its shape."""
    content = path.read_bytes()
    axes = content[3]
    shape = numpy.frombuffer(content, ">u4", axes, 4)
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * axes).reshape(shape)


def main():
    folder = pathlib.Path(sys.argv[1])
    images, labels = (read_idx(folder / name) for name in sys.argv[2:4])
    library = ctypes.CDLL(str(folder.resolve() / "libcnn.so"))
    manifest = {entry: json.loads((folder / f"cnn_{entry}.json").read_text()) for entry in ("train", "infer")}
    train = Step(library, manifest["train"])
    infer = Step(library, manifest["infer"], states=train.block)
    train.init()
    batch = len(train.inputs["x"])
    starts = range(0, len(images) - batch + 1, batch)
    for at in starts:
        train.inputs["x"][..., 0] = images[at : at + batch] / numpy.float32(255)
        train.inputs["y"][:] = labels[at : at + batch]
        train()
        print(f"{float(train.outputs['loss']):.9g}")
    right = 0
    for at in starts:
        infer.inputs["x"][..., 0] = images[at : at + batch] / numpy.float32(255)
        infer()
        right += int((infer.outputs["output"].argmax(axis=1) == labels[at : at + batch]).sum())
    print(f"accuracy {right} of {batch * len(starts)} digits")


if __name__ == "__main__":
    main()
