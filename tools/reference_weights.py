"""Writes state dictionaries of PyTorch with an input and a result, and an archive of NumPy's arrays, under tests/reference/weights.

Run: `python3 tools/reference_weights.py` (needs torch, safetensors, numpy). Each module's names are those of its state dictionary; `<module>.safetensors` has besides them `@x` and `@y`,
whose axes are moved to where they are here. One is in half precision, one in double.
"""
import pathlib

import numpy
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference" / "weights"


class Picture(torch.nn.Module):
    """Convolutions of three kinds, with a normalization that has seen data."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, (3, 2))
        self.norm = torch.nn.BatchNorm2d(3)
        self.depthwise = torch.nn.Conv2d(3, 6, 2, groups=3)
        self.up = torch.nn.ConvTranspose2d(6, 4, 3, stride=2)
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x):
        y = self.norm(self.conv(x)).relu()
        return self.head(self.up(self.depthwise(y)).mean((2, 3)))


class Text(torch.nn.Module):
    """Recurrent layers of three kinds over embeddings."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 4)
        self.lstm = torch.nn.LSTM(4, 3, batch_first=True)
        self.both = torch.nn.LSTM(3, 2, batch_first=True, bidirectional=True)
        self.gru = torch.nn.GRU(4, 3, batch_first=True)
        self.rnn = torch.nn.RNN(3, 2, batch_first=True)

    def forward(self, x):
        y, _ = self.lstm(self.embedding(x))
        y, _ = self.both(y)
        y, _ = self.gru(y)
        return self.rnn(y)[0]


def transformer():
    """A block of PyTorch's, normalized first, with the exact GELU."""
    return torch.nn.TransformerEncoderLayer(6, 2, 8, 0.0, "gelu", batch_first=True, norm_first=True)


def write(name, module, x, move_input, move_output, dtype=None):
    with torch.no_grad():
        module.train()
        module(x)
        module.eval()
        if dtype is not None:
            for parameter in module.parameters():
                parameter.copy_(parameter.to(dtype))
        y = module(x)
    states = {key: value if dtype is None or not value.is_floating_point() else value.to(dtype) for key, value in module.state_dict().items()}
    states["@x"] = move_input(x)
    states["@y"] = move_output(y)
    save_file({key: value.contiguous().clone() for key, value in states.items()}, FOLDER / f"{name}.safetensors")


def same(x):
    return x


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    write("picture", Picture(), torch.randn(4, 2, 6, 5), lambda x: x.permute(0, 2, 3, 1), same)
    write("text", Text(), torch.randint(0, 7, (3, 5)), lambda x: x.to(torch.int32), same, torch.float16)
    write("transformer", transformer(), torch.randn(2, 3, 6), same, same)
    table = numpy.arange(6).reshape(2, 3)
    arrays = {
        "float32": table.astype("<f4"), "float64": numpy.asfortranarray(table.astype(">f8")), "half/float16": table.astype("f2"),
        "int16": table.astype(">i2"), "uint8": table.astype("u1"), "truth": table > 2, "scalar": numpy.int64(-7),
    }
    numpy.savez(FOLDER / "stored.npz", **arrays)
    numpy.savez_compressed(FOLDER / "deflated.npz", **arrays)
    numpy.save(FOLDER / "single.npy", table.astype("f4"))


if __name__ == "__main__":
    main()
