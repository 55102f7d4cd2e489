"""Writes weights of Keras with an input and a result under tests/reference/weights, and asks Keras and PyTorch whether they compute the same of weights that gradc has written.

Run: `KERAS_BACKEND=torch python3 tools/reference_keras.py` (needs keras, torch, safetensors, numpy) writes `keras_picture.npz`, `keras_text.npz`. Names are the paths of the variables; `@x` and `@y`
stand beside them. `... reference_keras.py --check FOLDER` loads, strictly, what `GRADC_WRITTEN=FOLDER cargo nextest run -p gradc written_for_other_frameworks` has left there.
"""
import pathlib
import sys

import keras
import numpy

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference" / "weights"


def picture():
    """Convolutions with a normalization that has seen data."""
    layers = keras.layers
    x = keras.Input((6, 5, 2))
    y = layers.Conv2D(3, (3, 2), name="conv")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    y = layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise")(y)
    y = layers.Conv2DTranspose(4, 3, strides=2, name="up")(y)
    y = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, layers.Dense(5, name="head")(y))


def text():
    """Recurrent layers and attention over embeddings."""
    layers = keras.layers
    x = keras.Input((5,), dtype="int32")
    y = layers.Embedding(7, 4, name="embedding")(x)
    y = layers.LSTM(3, return_sequences=True, name="lstm")(y)
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="lstm"), name="both")(y)
    y = layers.GRU(6, return_sequences=True, name="gru")(y)
    y = layers.LayerNormalization(name="norm")(y)
    y = layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    y = layers.SimpleRNN(4, name="rnn")(y)
    return keras.Model(x, layers.Dense(2, name="head")(y))


def weights(model):
    """A model's variables by their paths."""
    return {variable.path: variable.numpy() if hasattr(variable, "numpy") else numpy.asarray(variable) for variable in model.weights}


def write():
    random = numpy.random.default_rng(1)
    keras.utils.set_random_seed(1)
    inputs = {"picture": random.normal(size=(4, 6, 5, 2)).astype("f4"), "text": random.integers(0, 7, (3, 5)).astype("i4")}
    for (name, x), model in zip(inputs.items(), (picture(), text())):
        for variable in model.weights:
            if numpy.issubdtype(numpy.dtype(variable.dtype), numpy.floating):
                # Statistics and biases are no zeros and ones, and variances are positive.
                value = variable.numpy() + random.uniform(0.0, 0.3, variable.shape)
                variable.assign(value.astype("f4"))
        y = model.predict(x, verbose=0)
        numpy.savez_compressed(FOLDER / f"keras_{name}.npz", **weights(model), **{"@x": x, "@y": y})


def apart(name, got, want):
    worst = float(numpy.abs(got - want).max())
    print(f"{name}: {got.size} results, at most {worst:.1e} apart")
    if worst > 1e-5:
        sys.exit("that is another computation")


def check_keras(folder, name, model):
    stored = dict(numpy.load(folder / f"keras_{name}.npz"))
    x, want = stored.pop("@x"), stored.pop("@y")
    own = [variable for variable in model.weights if not variable.path.endswith("seed_generator_state")]
    if {variable.path for variable in own} != set(stored):
        sys.exit(f"keras_{name}: other names: {sorted(stored)}, not {sorted(variable.path for variable in own)}")
    for variable in own:
        variable.assign(stored[variable.path])
    apart(f"Keras {keras.__version__}, {name}", model.predict(x, verbose=0), want)


def check_torch(folder):
    import torch
    from safetensors.torch import load_file

    import reference_weights as modules

    cases = {
        "picture": (modules.Picture(), lambda x: x.permute(0, 3, 1, 2)),
        "text": (modules.Text(), lambda x: x.long()),
        "transformer": (modules.transformer(), lambda x: x),
    }
    for name, (module, turned) in cases.items():
        stored = load_file(folder / f"{name}.safetensors")
        x, want = stored.pop("@x"), stored.pop("@y")
        module.load_state_dict(stored, strict=True)
        module.eval()
        with torch.no_grad():
            apart(f"PyTorch {torch.__version__}, {name}", module(turned(x)).numpy(), want.numpy())


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    folder = pathlib.Path(sys.argv[2])
    check_keras(folder, "picture", picture())
    check_keras(folder, "text", text())
    check_torch(folder)
else:
    write()
