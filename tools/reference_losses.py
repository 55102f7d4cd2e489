"""Writes the reference values of losses and metrics under tests/reference/losses and tests/reference/metrics.

Run: `python3 tools/reference_losses.py` (needs torch, scikit-learn, safetensors). Losses are PyTorch's own functions where it has them, with gradients by its autograd; where it has
none (focal, contrastive, batch-hard triplets), the papers' formulas in its operations. Metrics are scikit-learn's; perplexity is the exponential of
PyTorch's cross-entropy. All in f64. A file holds the cases of one function: `<case>/x` and its like are the inputs, `<case>/loss` the values position by position,
`<case>/dx` the gradient of their sum; settings are scalars.
"""
import pathlib

import numpy as np
import sklearn.metrics as scores
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference"
# Extents that are no multiples of anything, of one to four axes, with ones among them.
SHAPES = [
    [1], [2], [3], [7], [13], [1, 1], [1, 5], [5, 1], [3, 3], [2, 7], [7, 2], [11, 3],
    [1, 1, 1], [2, 1, 3], [3, 5, 2], [1, 7, 3], [5, 1, 1], [2, 3, 5], [1, 2, 1, 3], [2, 1, 3, 2], [3, 1, 1, 5], [1, 1, 11, 1],
]
CASES = len(SHAPES)
random = torch.Generator().manual_seed(20)


def normal(*dims, scale=2.0):
    return torch.randn(*dims, generator=random, dtype=torch.float64) * scale


def integers(below, *dims):
    return torch.randint(below, dims, generator=random)


def truths(*dims):
    return integers(2, *dims).double()


def scalar(value):
    return torch.tensor(float(value), dtype=torch.float64)


def cycle(values, case):
    return values[case % len(values)]


def losses(name, case_of):
    """Writes a file of cases: `case_of(i, shape)` gives the inputs by name, and the losses as a function of those that are differentiated by."""
    tensors = {}
    for i, shape in enumerate(SHAPES):
        inputs, by, function = case_of(i, shape)
        leaves = [inputs[key].clone().requires_grad_(True) for key in by]
        loss = function(*leaves)
        gradients = torch.autograd.grad(loss.sum(), leaves)
        for key, value in inputs.items():
            tensors[f"{i}/{key}"] = value.to(torch.int32) if value.dtype == torch.int64 else value
        tensors[f"{i}/loss"] = loss.detach()
        for key, gradient in zip(by, gradients):
            tensors[f"{i}/d{key}"] = gradient
    write("losses", name, tensors)


def write(folder, name, tensors):
    path = FOLDER / folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    print(f"{path.relative_to(FOLDER.parent.parent)}: {len({key.split('/')[0] for key in tensors})} cases, {path.stat().st_size} bytes")


def classes(i):
    return cycle([2, 3, 5, 1, 7, 11], i)


def flat(function, x, labels):
    """A function of rows of classes, applied to rows under any extents."""
    return function(x.reshape(-1, x.shape[-1]), labels.reshape(-1)).reshape(labels.shape)


def binary_focal(i, shape):
    gamma, alpha = cycle([0.0, 0.5, 1.0, 2.0, 3.7, 5.0], i), cycle([0.25, 0.5, 0.9], i)
    x, t = normal(*shape), truths(*shape)

    def function(x):
        entropy = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        p = torch.sigmoid(x)
        wrong = p * (1 - t) + (1 - p) * t
        return (alpha * t + (1 - alpha) * (1 - t)) * wrong**gamma * entropy

    return {"x": x, "t": t, "gamma": scalar(gamma), "alpha": scalar(alpha)}, ["x"], function


def sparse_focal(i, shape):
    gamma, c = cycle([0.0, 1.0, 2.0, 3.7, 1.5], i), 1 + classes(i)
    x, t = normal(*shape, c), integers(c, *shape)

    def function(x):
        entropy = flat(lambda x, t: F.cross_entropy(x, t, reduction="none"), x, t)
        return (1 - torch.exp(-entropy)) ** gamma * entropy

    return {"x": x, "t": t, "gamma": scalar(gamma)}, ["x"], function


def categorical_focal(i, shape):
    gamma, c = cycle([0.0, 1.0, 2.0, 3.7, 1.5], i), 1 + classes(i)
    x, t = normal(*shape, c), torch.softmax(normal(*shape, c), -1)

    def function(x):
        log_p = F.log_softmax(x, -1)
        return -(t * (1 - log_p.exp()) ** gamma * log_p).sum(-1)

    return {"x": x, "t": t, "gamma": scalar(gamma)}, ["x"], function


def sparse_smoothing(i, shape):
    rate, c = cycle([0.0, 0.1, 0.3, 0.9], i), classes(i)
    x, t = normal(*shape, c), integers(c, *shape)
    function = lambda x: flat(lambda x, t: F.cross_entropy(x, t, reduction="none", label_smoothing=rate), x, t)
    return {"x": x, "t": t, "rate": scalar(rate)}, ["x"], function


def categorical_smoothing(i, shape):
    rate, c = cycle([0.0, 0.1, 0.3, 0.9], i), classes(i)
    x, t = normal(*shape, c), torch.softmax(normal(*shape, c), -1)
    rows = t.reshape(-1, c)
    function = lambda x: F.cross_entropy(x.reshape(-1, c), rows, reduction="none", label_smoothing=rate).reshape(shape)
    return {"x": x, "t": t, "rate": scalar(rate)}, ["x"], function


def binary_smoothing(i, shape):
    rate = cycle([0.0, 0.1, 0.3, 0.9], i)
    x, t = normal(*shape), truths(*shape)
    function = lambda x: F.binary_cross_entropy_with_logits(x, t * (1 - rate) + rate / 2, reduction="none")
    return {"x": x, "t": t, "rate": scalar(rate)}, ["x"], function


def nll(i, shape):
    c = classes(i)
    x, t = F.log_softmax(normal(*shape, c), -1), integers(c, *shape)
    return {"x": x, "t": t}, ["x"], lambda x: flat(lambda x, t: F.nll_loss(x, t, reduction="none"), x, t)


def poisson(i, shape):
    log_input, full = i % 2 == 0, i % 4 < 2
    x, t = normal(*shape, scale=1.0), integers(5, *shape).double()
    x = x if log_input else x.exp()
    function = lambda x: F.poisson_nll_loss(x, t, log_input=log_input, full=full, reduction="none")
    return {"x": x, "t": t, "log_input": scalar(log_input), "full": scalar(full)}, ["x"], function


def huber(i, shape):
    delta = cycle([0.3, 1.0, 2.5], i)
    x, t = normal(*shape), normal(*shape)
    return {"x": x, "t": t, "delta": scalar(delta)}, ["x"], lambda x: F.huber_loss(x, t, delta=delta, reduction="none")


def contrastive(i, shape):
    width, margin = classes(i), cycle([0.5, 1.0, 3.0, 8.0], i)
    a, b, same = normal(*shape, width), normal(*shape, width), truths(*shape)

    def function(a, b):
        distance = torch.linalg.vector_norm(a - b, dim=-1)
        return same * distance**2 + (1 - same) * F.relu(margin - distance) ** 2

    return {"a": a, "b": b, "t": same, "margin": scalar(margin)}, ["a", "b"], function


def triplet(i, shape):
    width, margin = classes(i), cycle([0.1, 0.5, 1.0, 4.0], i)
    a, p, n = (normal(*shape, width) for _ in range(3))
    function = lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=margin, eps=0.0, reduction="none")
    return {"a": a, "p": p, "n": n, "margin": scalar(margin)}, ["a", "p", "n"], function


def batch_hard(i, shape):
    batch, width, margin = 1 + i, classes(i), cycle([0.0, 0.5, 1.0, 4.0], i)
    x, t = normal(batch, width), integers(cycle([2, 3, 4], i), batch)

    def function(x):
        losses = []
        for j in range(batch):
            near = [k for k in range(batch) if k != j and t[k] == t[j]]
            far = [k for k in range(batch) if t[k] != t[j]]
            distance = lambda k: torch.linalg.vector_norm(x[j] - x[k])
            if near and far:
                hardest = max(distance(k) for k in near) - min(distance(k) for k in far)
                losses.append(F.relu(hardest + margin))
            else:
                losses.append(0 * x.sum())
        return torch.stack(losses)

    return {"x": x, "t": t, "margin": scalar(margin)}, ["x"], function


def cosine_embedding(i, shape):
    width, margin = 1 + classes(i), cycle([0.0, 0.3, -0.5], i)
    a, b, t = normal(*shape, width), normal(*shape, width), truths(*shape) * 2 - 1
    rows = lambda x: x.reshape(-1, width)
    function = lambda a, b: F.cosine_embedding_loss(rows(a), rows(b), t.reshape(-1), margin=margin, reduction="none").reshape(shape)
    return {"a": a, "b": b, "t": t, "margin": scalar(margin)}, ["a", "b"], function


def cosine_similarity(i, shape):
    width = 1 + classes(i)
    a, b = normal(*shape, width), normal(*shape, width)
    return {"a": a, "b": b}, ["a", "b"], lambda a, b: F.cosine_similarity(a, b, dim=-1)


def ctc(i, _):
    """Among them empty labels, repeated ones, and sequences too short for their labels, whose loss is 0 here."""
    batch, time, c, n = 1 + i % 4, 1 + (5 * i) % 13, cycle([2, 3, 4, 6], i), 1 + i % 5
    blank = i % c
    x = normal(batch, time, c)
    labels = integers(c - 1, batch, n)
    labels = labels + (labels >= blank)
    inputs, lengths = 1 + integers(time, batch), integers(n + 1, batch)
    function = lambda x: F.ctc_loss(
        F.log_softmax(x, -1).permute(1, 0, 2), labels, inputs, lengths, blank=blank, reduction="none", zero_infinity=True
    )
    named = {"x": x, "t": labels, "inputs": inputs, "lengths": lengths, "blank": scalar(blank)}
    return named, ["x"], function


def metrics(name, case_of):
    """Writes a file of cases: `case_of(i)` gives inputs and scores by name."""
    tensors = {}
    for i in range(24):
        for key, value in case_of(i).items():
            tensors[f"{i}/{key}"] = torch.from_numpy(np.array(value, dtype=np.int32 if key == "t" else np.float64))
    write("metrics", name, tensors)


def samples(i, c):
    """Every class among the targets, and scores that tie."""
    n = c + 1 + (7 * i) % 23
    t = torch.cat([torch.arange(c), integers(c, n - c)]).numpy()
    x = (normal(n, c) * 4).round().numpy() / 4
    weights = np.ones(n) if i % 2 == 0 else integers(5, n).numpy() * 0.5 + 0.25
    return x, t, weights


def classification(i):
    c = 2 + i % 5
    x, t, weights = samples(i, c)
    predicted = x.argmax(-1)
    found = {"x": x, "t": t, "weights": weights}
    found["confusion"] = scores.confusion_matrix(t, predicted, labels=range(c), sample_weight=weights)
    functions = {"precision": scores.precision_score, "recall": scores.recall_score, "f1": scores.f1_score, "iou": scores.jaccard_score}
    for name, function in functions.items():
        for average in ["macro", "micro", "weighted"]:
            found[f"{name}_{average}"] = function(t, predicted, average=average, sample_weight=weights, zero_division=0)
        found[f"{name}_class_1"] = function(t, predicted, average=None, labels=range(c), sample_weight=weights, zero_division=0)[1]
    found["accuracy"] = scores.accuracy_score(t, predicted, sample_weight=weights)
    entropy = F.cross_entropy(torch.from_numpy(x), torch.from_numpy(t), reduction="none").numpy()
    found["perplexity"] = np.exp(np.average(entropy, weights=weights))
    return found


def ranking(i):
    x, t, weights = samples(i, 2)
    x = x[:, 1:]
    return {
        "x": x, "t": t, "weights": weights,
        "auc": scores.roc_auc_score(t, x[:, 0], sample_weight=weights),
        "average_precision": scores.average_precision_score(t, x[:, 0], sample_weight=weights),
    }


def ranking_of_classes(i):
    c = 3 + i % 4
    x, t, weights = samples(i, c)
    p = torch.softmax(torch.from_numpy(x), -1).numpy()
    one_hot = np.eye(c)[t]
    return {
        "x": x, "t": t, "weights": weights,
        "auc": scores.roc_auc_score(one_hot, p, average="macro", sample_weight=weights),
        "average_precision": scores.average_precision_score(one_hot, p, average="macro", sample_weight=weights),
    }


def regression(i):
    n, columns = 2 + (5 * i) % 17, 1 + i % 4
    target, output = normal(n, columns).numpy() + i, normal(n, columns).numpy() + i
    weights = np.ones(n) if i % 2 == 0 else integers(5, n).numpy() * 0.5 + 0.25
    return {
        "x": output, "target": target, "weights": weights,
        "r2": scores.r2_score(target, output, sample_weight=weights),
        "mae": scores.mean_absolute_error(target, output, sample_weight=weights),
        "mse": scores.mean_squared_error(target, output, sample_weight=weights),
    }


for case_of in [
    binary_focal, sparse_focal, categorical_focal, sparse_smoothing, categorical_smoothing, binary_smoothing, nll, poisson, huber,
    contrastive, triplet, batch_hard, cosine_embedding, cosine_similarity, ctc,
]:
    losses(case_of.__name__, case_of)
for case_of in [classification, ranking, ranking_of_classes, regression]:
    metrics(case_of.__name__, case_of)
