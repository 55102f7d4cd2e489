"""Writes the reference values of layers, activations and functions of tensors under tests/reference/layers.

Run: `python3 tools/reference_layers.py [name...]` (needs torch, safetensors). Values are those of PyTorch's own functions where it has them, in PyTorch's layout with the axes
moved; where it has none, the formulas of the papers or of Keras's documentation in its operations. All in f64. A file holds the cases of one function: `<case>/x` and its like are
the inputs, `<case>/<layer>/<part>` the parameters, `<case>/y` the result, `<case>/dx` and its like the gradients of the sum of results, each weighted by the cosine of its number;
settings are scalars.
"""
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference" / "layers"
CASES = 22
random = torch.Generator()


def normal(*dims, scale=1.0):
    return torch.randn(*dims, generator=random, dtype=torch.float64) * scale


def scalar(value):
    return torch.tensor(float(value), dtype=torch.float64)


def cycle(values, case):
    return values[case % len(values)]


def write(name, case_of):
    """Writes a file of cases: `case_of(i)` gives tensors by name, the names that gradients are by, the settings, and the result as a function of the tensors with gradients."""
    random.manual_seed(sum(name.encode()))
    tensors = {}
    for i in range(CASES):
        inputs, by, settings, function = case_of(i)
        leaves = [inputs[key].clone().requires_grad_(True) for key in by]
        y = function(*leaves)
        weights = torch.arange(y.numel(), dtype=torch.float64).cos().reshape(y.shape)
        gradients = torch.autograd.grad((y * weights).sum(), leaves, allow_unused=True)
        for key, value in inputs.items():
            tensors[f"{i}/{key}"] = value.to(torch.int32) if value.dtype == torch.int64 else value
        for key, value in settings.items():
            tensors[f"{i}/{key}"] = scalar(value)
        tensors[f"{i}/y"] = y.detach()
        for key, leaf, gradient in zip(by, leaves, gradients):
            tensors[f"{i}/d{key}"] = torch.zeros_like(leaf) if gradient is None else gradient
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.safetensors"
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
    print(f"{path.name}: {CASES} cases, {path.stat().st_size} bytes")


# Extents that are multiples of nothing.
def sequence(i, channels=None):
    return [cycle([1, 2, 3], i), cycle([7, 1, 5, 3, 2], i), channels or cycle([1, 3, 2, 5], i)]


def image(i, channels=None):
    return [cycle([1, 2], i), cycle([3, 5, 2, 1], i), cycle([2, 3, 1, 5, 3], i), channels or cycle([1, 3, 2], i)]


def volume(i, channels=None):
    return [cycle([1, 2], i), cycle([2, 1, 3], i), cycle([3, 2, 1, 2], i), cycle([2, 3, 1, 3, 2], i), channels or cycle([1, 2, 3, 1], i)]


def first(x):
    """Channels from the last axis to PyTorch's place."""
    return x.movedim(-1, 1).contiguous()


def last(x):
    return x.movedim(1, -1)


ACTIVATIONS = {
    "celu": lambda x: F.celu(x, 1.5),
    "exponential": torch.exp,
    "log_sigmoid": F.logsigmoid,
    "squareplus": lambda x: (x + torch.sqrt(x * x + 4.0)) / 2,
    "tanh_shrink": F.tanhshrink,
    "relu6": lambda x: F.relu6(3 * x),
    "hard_tanh": F.hardtanh,
    "hard_silu": F.hardswish,
    "hard_shrink": lambda x: F.hardshrink(x, 0.5),
    "soft_shrink": lambda x: F.softshrink(x, 0.5),
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "sparse_plus": lambda x: torch.where(x <= -1, torch.zeros_like(x), torch.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: torch.clamp(0.5 * (x + 1), 0, 1),
}


def activations(i):
    """All of them of one tensor, one after the other along a new first axis."""
    x = normal(*cycle([sequence, image, lambda i: [3, 1 + i]], i)(i), scale=2.0)
    return {"x": x}, ["x"], {}, lambda x: torch.stack([f(x) for f in ACTIVATIONS.values()])


def glu(i):
    x = normal(*cycle([sequence, image], i)(i, channels=2 * cycle([1, 3, 2, 5], i)))
    return {"x": x}, ["x"], {}, lambda x: F.glu(x, -1)


def p_re_lu(i):
    """One alpha for each channel, as in PyTorch."""
    x = normal(*cycle([sequence, image], i)(i))
    alpha = normal(x.shape[-1])
    shape = [1] * (x.dim() - 2) + [-1]
    return {"x": x, "p_re_lu/alpha": alpha.reshape(shape)}, ["x", "p_re_lu/alpha"], {}, lambda x, a: last(F.prelu(first(x), a.reshape(-1)))


def p_re_lu_of_elements(i):
    x = normal(*cycle([sequence, image], i)(i))
    alpha = normal(*x.shape[1:])
    return {"x": x, "p_re_lu/alpha": alpha}, ["x", "p_re_lu/alpha"], {}, lambda x, a: torch.where(x > 0, x, x * a)


def layer_scale(i):
    x = normal(*cycle([sequence, image], i)(i))
    return {"x": x, "layer_scale/gamma": normal(x.shape[-1])}, ["x", "layer_scale/gamma"], {}, lambda x, g: x * g


def unit_normalization(i):
    x = normal(*cycle([sequence, image], i)(i), scale=3.0)
    return {"x": x}, ["x"], {}, lambda x: F.normalize(x, dim=-1, eps=1e-6)


def up_sampling(of, mode):
    def case_of(i):
        x = normal(*of(i))
        factors = [1 + (i + k) % (4 if x.dim() < 5 else 3) for k in range(x.dim() - 2)]
        function = lambda x: last(F.interpolate(first(x), scale_factor=[float(f) for f in factors], mode=mode))
        return {"x": x}, ["x"], {f"factor{k}": f for k, f in enumerate(factors)}, function

    return case_of


def borders(of):
    """Zeros around it, and then its ends cut off."""

    def case_of(i):
        x = normal(*of(i))
        axes = x.dim() - 2
        pads = [((i + k) % 3, (i // 2 + k) % 4) for k in range(axes)]
        crops = [((i // 3 + k) % 2, 0) if x.shape[k + 1] + sum(pads[k]) > 1 else (0, 0) for k in range(axes)]
        settings = {}
        for k in range(axes):
            settings |= {f"before{k}": pads[k][0], f"after{k}": pads[k][1], f"first{k}": crops[k][0], f"last{k}": crops[k][1]}

        def function(x):
            around = [0, 0] + [n for pair in reversed(pads) for n in pair]
            y = F.pad(x, around)
            for k, (before, after) in enumerate(crops):
                y = y.narrow(k + 1, before, y.shape[k + 1] - before - after)
            return y

        return {"x": x}, ["x"], settings, function

    return case_of


def pixel_shuffle(i):
    factor = 1 + i % 3
    x = normal(*image(i, channels=factor * factor * cycle([1, 2, 3], i)))
    return {"x": x}, ["x"], {"factor": factor}, lambda x: last(F.pixel_shuffle(first(x), factor))


def pixel_unshuffle(i):
    factor = 1 + i % 3
    n, h, w, c = image(i)
    x = normal(n, h * factor, w * factor, c)
    return {"x": x}, ["x"], {"factor": factor}, lambda x: last(F.pixel_unshuffle(first(x), factor))


def shapes(i):
    """A vector repeated, and the axes of what that gives exchanged."""
    x = normal(cycle([1, 2, 3], i), cycle([5, 1, 3, 7], i))
    count = 1 + i % 5
    return {"x": x}, ["x"], {"count": count}, lambda x: x[:, None].expand(-1, count, -1).permute(0, 2, 1)


def merges(i):
    """Each way to join three tensors, along the last axis."""
    dims = cycle([sequence, image], i)(i)
    a, b, c = (normal(*dims) for _ in range(3))

    def function(a, b, c):
        stacked = torch.stack([a, b, c])
        parts = [a, b, c, a + b + c, a - b - c, a * b * c, stacked.mean(0), torch.maximum(torch.maximum(a, b), c), torch.minimum(torch.minimum(a, b), c)]
        return torch.cat(parts, -1)

    return {"a": a, "b": b, "c": c}, ["a", "b", "c"], {}, function


def windows(axes, i):
    """A window that fits any input here with padding `Both`: its size, stride, dilation and padding along each axis."""
    size = [cycle([3, 2, 1, 4, 3] if axes < 3 else [2, 3, 1], i + k) for k in range(axes)]
    stride = [cycle([1, 2, 3, 1], i + 2 * k) for k in range(axes)]
    dilation = [cycle([1, 1, 2], i + k) for k in range(axes)]
    return size, stride, dilation, [d * (n - 1) for n, d in zip(size, dilation)]


def listed(**lists):
    return {f"{name}{k}": n for name, values in lists.items() for k, n in enumerate(values)}


def inputs_of(axes, i, channels):
    x = normal(1 + i % 2, *[cycle([5, 3, 4, 2] if axes < 3 else [3, 2, 1], i + k) for k in range(axes)], channels)
    return x


CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def kernel_first(w):
    """A kernel `[size..., in, out]` as PyTorch has it, `[out, in, size...]`."""
    return w.movedim((-1, -2), (0, 1)).contiguous()


def convolved(x, w, b, window, groups):
    """A convolution of `x` padded by hand, since PyTorch's own padding is the same at both ends."""
    size, stride, dilation, pad = window
    return last(CONVOLUTION[x.dim() - 2](first(x), kernel_first(w), b, stride, pad, dilation, groups))


def conv3d(i):
    groups = cycle([1, 2, 1, 3], i)
    channels, filters = groups * cycle([1, 2], i), groups * cycle([2, 1, 3], i)
    window = windows(3, i)
    x, w, b = inputs_of(3, i, channels), normal(*window[0], channels // groups, filters), normal(filters)
    settings = listed(size=window[0], stride=window[1], dilation=window[2], pad=window[3]) | {"groups": groups, "filters": filters}
    named = {"x": x, "conv3d/kernel": w, "conv3d/bias": b}
    return named, list(named), settings, lambda x, w, b: convolved(x, w, b, window, groups)


def depthwise(axes):
    def case_of(i):
        channels, multiplier, name = cycle([3, 1, 4, 2], i), cycle([1, 2, 1, 3], i), f"depthwise_conv{axes}d"
        window = windows(axes, i)
        x, w, b = inputs_of(axes, i, channels), normal(*window[0], channels, multiplier), normal(channels * multiplier)
        settings = listed(size=window[0], stride=window[1], dilation=window[2], pad=window[3]) | {"multiplier": multiplier}
        named = {"x": x, f"{name}/kernel": w, f"{name}/bias": b}
        function = lambda x, w, b: convolved(x, w.reshape(*window[0], 1, channels * multiplier), b, window, channels)
        return named, list(named), settings, function

    return case_of


def separable(axes):
    def case_of(i):
        channels, multiplier, filters, name = cycle([3, 1, 4, 2], i), cycle([1, 2, 1, 3], i), cycle([2, 5, 1], i), f"separable_conv{axes}d"
        window = windows(axes, i)
        between = channels * multiplier
        x, w, p, b = inputs_of(axes, i, channels), normal(*window[0], channels, multiplier), normal(*[1] * axes, between, filters), normal(filters)
        settings = listed(size=window[0], stride=window[1], dilation=window[2], pad=window[3]) | {"multiplier": multiplier, "filters": filters}
        named = {"x": x, f"{name}/depthwise_kernel": w, f"{name}/pointwise_kernel": p, f"{name}/bias": b}

        def function(x, w, p, b):
            y = convolved(x, w.reshape(*window[0], 1, between), None, window, channels)
            return last(CONVOLUTION[axes](first(y), kernel_first(p), b))

        return named, list(named), settings, function

    return case_of


def transposed(axes):
    """With the padding that PyTorch has, and an output padding where the stride allows one."""

    def case_of(i):
        groups, name = cycle([1, 2, 1, 3], i), f"conv{axes}d_transpose"
        channels, filters = groups * cycle([1, 2], i), groups * cycle([2, 1, 3], i)
        size, stride, dilation, _ = windows(axes, i)
        x = inputs_of(axes, i, channels)
        more = [(i // 2) % s for s in stride]
        pad = []
        for k in range(axes):
            extent = dilation[k] * (size[k] - 1) + 1
            reach = (x.shape[k + 1] - 1) * stride[k] + extent + more[k]
            pad.append(min(i % 3, extent - 1, (reach - 1) // 2))
        w, b = normal(*size, filters // groups, channels), normal(filters)
        settings = listed(size=size, stride=stride, dilation=dilation, pad=pad, more=more) | {"groups": groups, "filters": filters}
        named = {"x": x, f"{name}/kernel": w, f"{name}/bias": b}
        function = lambda x, w, b: last(TRANSPOSED[axes](first(x), kernel_first(w), b, stride, pad, more, groups, dilation))
        return named, list(named), settings, function

    return case_of


def transposed_same(i):
    """Keras's padding `same`: `input stride` places, cut out of all that the windows reach."""
    channels, filters, name = cycle([1, 3, 2], i), cycle([2, 1, 3], i), "conv2d_transpose"
    size, stride = [cycle([3, 2, 5, 1], i + k) for k in range(2)], [cycle([1, 2, 3], i + 2 * k) for k in range(2)]
    x, w, b = inputs_of(2, i, channels), normal(*size, filters, channels), normal(filters)
    named = {"x": x, f"{name}/kernel": w, f"{name}/bias": b}

    def function(x, w, b):
        y = F.conv_transpose2d(first(x), kernel_first(w), b, stride)
        for k in range(2):
            whole, before = x.shape[k + 1] * stride[k], max(size[k] - stride[k], 0) // 2
            short = max(whole - y.shape[k + 2], 0)
            if short:
                # A stride over the window: what no window reaches has the bias alone.
                shape = list(y.shape)
                shape[k + 2] = short
                y = torch.cat([y, b.reshape(1, -1, 1, 1).expand(shape)], k + 2)
            y = y.narrow(k + 2, before, whole)
        return last(y)

    return named, list(named), listed(size=size, stride=stride) | {"filters": filters}, function


def pool3d(function):
    def case_of(i):
        x = inputs_of(3, i, cycle([1, 3, 2], i))
        # PyTorch refuses windows larger than the input without its padding.
        size = [min(cycle([2, 3, 1], i + k), x.shape[k + 1]) for k in range(3)]
        stride, pad = [cycle([1, 2, 3], i + 2 * k) for k in range(3)], [n // 2 for n in size]
        return {"x": x}, ["x"], listed(size=size, stride=stride, pad=pad), lambda x: last(function(first(x), size, stride, pad))

    return case_of


EQUATIONS = ["ab,bc->ac", "ab,cb", "abc,abd->acd", "ab,cd->adbc", "ab,ac->abc", "a,b,a->b", "ab,cbd,ad->ac", "abc->ca", "ab->"]


def einsum(i):
    """All equations of three tensors of letters' extents."""
    extents = {"a": cycle([2, 1, 3], i), "b": cycle([3, 2, 1, 5], i), "c": cycle([4, 1, 3], i), "d": cycle([2, 3, 1], i)}
    sides = [equation.split("->")[0].split(",") for equation in EQUATIONS]
    named = {f"x{k}_{j}": normal(*[extents[c] for c in side]) for k, operands in enumerate(sides) for j, side in enumerate(operands)}

    def function(*leaves):
        given = iter(leaves)
        results = [torch.einsum(equation, *[next(given) for _ in side]) for equation, side in zip(EQUATIONS, sides)]
        return torch.cat([y.reshape(-1) for y in results])

    return named, list(named), {}, function


def sort(i):
    """Both orders, and the largest elements, along each axis."""
    x = normal(*cycle([sequence, image, lambda i: [3, 1 + i]], i)(i))
    axis = i % x.dim()
    k = 1 + i % x.shape[axis]

    def function(x):
        parts = [x.sort(dim=axis, stable=True).values, x.sort(dim=axis, descending=True, stable=True).values, x.topk(k, axis).values, x.cumsum(axis)]
        return torch.cat(parts, axis)

    return {"x": x}, ["x"], {"axis": axis, "k": k}, function


ADAPTIVE = {"average": (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d), "max": (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)}


def adaptive(kind, axes):
    """Extents that divide each other, that don't, and more results than elements."""

    def case_of(i):
        x = normal(1 + i % 2, *[cycle([5, 7, 4, 6, 3] if axes < 3 else [3, 4, 2, 5], i + k) for k in range(axes)], cycle([1, 3, 2], i))
        output = [cycle([3, 1, 2, 4, 7, 5], i + 2 * k) for k in range(axes)]
        return {"x": x}, ["x"], listed(output=output), lambda x: last(ADAPTIVE[kind][axes - 1](first(x), output))

    return case_of


def lp_pool(axes):
    def case_of(i):
        x = normal(1 + i % 2, *[cycle([5, 7, 4, 6], i + k) for k in range(axes)], cycle([1, 3, 2], i))
        p, size, stride = cycle([2, 1, 4, 3], i), [cycle([2, 3, 1], i + k) for k in range(axes)], [cycle([2, 1, 3], i + k) for k in range(axes)]
        function = F.lp_pool1d if axes == 1 else F.lp_pool2d
        arguments = (size[0], stride[0]) if axes == 1 else (size, stride)
        # PyTorch takes powers of `x` itself.
        return {"x": x}, ["x"], listed(size=size, stride=stride) | {"p": p}, lambda x: last(function(first(x.abs() if p % 2 else x), p, *arguments))

    return case_of


def max_unpool(i):
    size = [cycle([2, 3, 1], i), cycle([2, 1, 3, 2], i)]
    n, rows, columns, c = image(i)
    extra = [(i // 2 + k) % s for k, s in enumerate(size)]
    x = normal(n, rows * size[0] + extra[0], columns * size[1] + extra[1], c)
    values = normal(n, rows, columns, c)

    def function(values):
        _, places = F.max_pool2d(first(x), size, return_indices=True)
        return last(F.max_unpool2d(first(values), places, size, output_size=first(x).shape))

    return {"x": x, "values": values}, ["values"], listed(size=size), function


def padded_by(mode, axes):
    def case_of(i):
        x = normal(1 + i % 2, *[cycle([4, 5, 3, 6] if axes < 3 else [3, 4, 3, 2], i + k) for k in range(axes)], cycle([1, 3, 2], i))
        pads = [((i + k) % 3, (i // 2 + k) % 3) for k in range(axes)]
        pads = [tuple(min(n, x.shape[k + 1] - 1) for n in pair) for k, pair in enumerate(pads)]
        settings = {key: n for k, pair in enumerate(pads) for key, n in zip((f"before{k}", f"after{k}"), pair)}
        around = [n for pair in reversed(pads) for n in pair]
        return {"x": x}, ["x"], settings, lambda x: last(F.pad(first(x), around, mode=mode))

    return case_of


def local_response_normalization(i):
    x = normal(*cycle([sequence, image], i)(i, channels=cycle([1, 3, 7, 5], i)), scale=2.0)
    size, alpha, beta, k = cycle([1, 2, 3, 5, 4], i), cycle([1e-4, 0.5, 2.0], i), cycle([0.75, 0.5], i), cycle([1.0, 2.0], i)
    settings = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    return {"x": x}, ["x"], settings, lambda x: last(F.local_response_norm(first(x), size, alpha, beta, k))


def bilinear(i):
    dims = cycle([[3], [2, 5], [1], [2, 1, 3]], i)
    n, m, units = cycle([3, 1, 4], i), cycle([2, 5, 3, 1], i), cycle([2, 1, 3], i)
    named = {"a": normal(*dims, n), "b": normal(*dims, m), "bilinear/kernel": normal(n, m, units), "bilinear/bias": normal(units)}
    return named, list(named), {"units": units}, lambda a, b, w, bias: F.bilinear(a, b, w.permute(2, 0, 1).contiguous(), bias)


DENSE_EQUATIONS = [("abc,cd->abd", "d"), ("abc,cde->abde", "de"), ("abc,bcd->ad", "d"), ("abc,bd->adc", "dc"), ("abc,bc->ab", "b")]


def einsum_dense(i):
    """The equations of the list, one after the other; `d` and `e` are the kernel's own letters."""
    equation, bias_axes = cycle(DENSE_EQUATIONS, i)
    extents = {"a": cycle([2, 1, 3], i), "b": cycle([3, 2, 4, 1], i), "c": cycle([2, 3, 1], i), "d": cycle([4, 2, 1], i), "e": cycle([2, 3], i)}
    left, y = equation.split("->")
    kernel = left.split(",")[1]
    begin = min(y.index(c) for c in bias_axes)
    bias = [extents[c] if c in bias_axes else 1 for c in y[begin:]]
    named = {
        "x": normal(*[extents[c] for c in "abc"]),
        "einsum_dense/kernel": normal(*[extents[c] for c in kernel]),
        "einsum_dense/bias": normal(*bias),
    }
    settings = {"equation": i % len(DENSE_EQUATIONS), "d": extents["d"], "e": extents["e"]}
    return named, list(named), settings, lambda x, w, b: torch.einsum(equation, x, w) + b


def spectral_normalization(i):
    """A dense layer's, as PyTorch's parametrization computes it in a step of training."""
    width, units, iterations = cycle([3, 5, 2, 1], i), cycle([4, 2, 1], i), cycle([1, 2, 3], i)
    x, w, b, start = normal(cycle([1, 3, 2], i), width), normal(width, units), normal(units), normal(units)
    named = {"x": x, "dense/kernel": w, "dense/bias": b}

    def function(x, w, b):
        u = start
        with torch.no_grad():
            for _ in range(iterations):
                v = F.normalize(w @ u, dim=0)
                u = F.normalize(w.T @ v, dim=0)
        return x @ (w / torch.dot(v, w @ u)) + b

    return named | {"dense/kernel_u": start}, list(named), {"units": units, "iterations": iterations}, function


def patches(i):
    """Windows side by side, channels last; the window fits any input here."""
    n, c = cycle([1, 2], i), cycle([1, 3, 2], i)
    size, stride, dilation = [cycle([3, 2, 1], i + k) for k in range(2)], [cycle([1, 2, 3], i + k) for k in range(2)], [cycle([1, 1, 2], i + k) for k in range(2)]
    pad = [min(cycle([0, 1, 2], i + k), dilation[k] * (size[k] - 1)) for k in range(2)]
    extents = [dilation[k] * (size[k] - 1) + 1 + cycle([2, 0, 3, 1], i + k) for k in range(2)]
    output = [(extents[k] + 2 * pad[k] - dilation[k] * (size[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
    settings = listed(size=size, stride=stride, dilation=dilation, pad=pad, extents=extents)
    return n, c, extents, output, size, (size, dilation, pad, stride), settings


def unfold(i):
    n, c, extents, output, size, arguments, settings = patches(i)

    def function(x):
        y = F.unfold(first(x), *arguments).reshape(n, c, *size, *output)
        return y.permute(0, 4, 5, 2, 3, 1).reshape(n, *output, size[0] * size[1] * c)

    return {"x": normal(n, *extents, c)}, ["x"], settings, function


def fold(i):
    n, c, extents, output, size, arguments, settings = patches(i)

    def function(x):
        y = x.reshape(n, *output, *size, c).permute(0, 5, 3, 4, 1, 2).reshape(n, c * size[0] * size[1], output[0] * output[1])
        return last(F.fold(y, extents, *arguments))

    return {"x": normal(n, *output, size[0] * size[1] * c)}, ["x"], settings, function


def sparsemax(i):
    """By the order of the paper's algorithm 1."""
    x = normal(*cycle([sequence, image, lambda i: [3, 1 + i]], i)(i), scale=cycle([1.0, 3.0], i))

    def function(x):
        z, _ = x.sort(dim=-1, descending=True)
        k = torch.arange(1, x.shape[-1] + 1, dtype=torch.float64)
        count = (1 + k * z > z.cumsum(-1)).sum(-1, keepdim=True)
        threshold = (z.cumsum(-1).gather(-1, count - 1) - 1) / count
        return (x - threshold).clamp(min=0)

    return {"x": x}, ["x"], {}, function


def r_re_lu(i):
    """At inference."""
    x = normal(*cycle([sequence, image], i)(i))
    lower = cycle([0.1, 0.125, -0.5], i)
    upper = lower + cycle([0.2, 0.0], i)
    return {"x": x}, ["x"], {"lower": lower, "upper": upper}, lambda x: F.rrelu(x, lower, upper, training=False)


FILL_MODES = ["zeros", "border", "reflection"]


def grid_sample(i):
    """All modes in turn; places in and outside of the image, none of them where two elements are equally near."""
    x = normal(*image(i))
    grid = normal(x.shape[0], cycle([2, 1, 3], i), cycle([1, 3], i), 2, scale=cycle([0.6, 2.5], i))
    fill, nearest, align = i % 3, i % 4 == 3, i % 5 % 2 == 1

    def function(x, grid):
        mode = "nearest" if nearest else "bilinear"
        return last(F.grid_sample(first(x), grid, mode=mode, padding_mode=FILL_MODES[fill], align_corners=align))

    return {"x": x, "grid": grid}, ["x", "grid"], {"fill": fill, "nearest": nearest, "align": align}, function


def cell(kind):
    """One step of PyTorch's cells, whose gates stand in rows: Keras's kernels are their transposes, a GRU's gates in another order."""
    gates = {"lstm": 4, "gru": 3, "simple_rnn": 1}[kind]
    order = [1, 0, 2] if kind == "gru" else list(range(gates))

    def rows(w, units):
        return torch.cat([w[:, k * units : (k + 1) * units] for k in order], 1).T

    def case_of(i):
        batch, features, units = cycle([1, 3, 2], i), cycle([3, 1, 5, 2], i), cycle([2, 4, 1, 3, 5], i)
        bias = normal(2, gates * units) if kind == "gru" else normal(gates * units)
        named = {"x": normal(batch, features), "h": normal(batch, units)} | ({"c": normal(batch, units)} if kind == "lstm" else {})
        named |= {f"{kind}/kernel": normal(features, gates * units), f"{kind}/recurrent_kernel": normal(units, gates * units), f"{kind}/bias": bias}

        def function(x, *others):
            *states, w, u, b = others
            b = b if kind == "gru" else torch.stack([b, torch.zeros_like(b)])
            weights = rows(w, units), rows(u, units), rows(b[:1], units).reshape(-1), rows(b[1:], units).reshape(-1)
            if kind == "lstm":
                return torch.cat(torch.lstm_cell(x, states, *weights), -1)
            return (torch.gru_cell if kind == "gru" else torch.rnn_tanh_cell)(x, states[0], *weights)

        return named, list(named), {"units": units}, function

    return case_of


def conv_lstm(axes):
    """Keras's layer, step by step."""

    def case_of(i):
        channels, filters, steps, name = cycle([1, 2, 3], i), cycle([2, 1, 3], i), cycle([2, 3, 1], i), f"conv_lstm{axes}d"
        size, stride = [cycle([3, 2, 1] if axes < 3 else [2, 1], i + k) for k in range(axes)], [cycle([1, 2, 1], i + k) for k in range(axes)]
        extents = [size[k] + cycle([1, 2, 0], i + k) for k in range(axes)]
        sequences, backwards = i % 2, i // 2 % 2
        named = {
            "x": normal(cycle([1, 2], i), steps, *extents, channels),
            f"{name}/kernel": normal(*size, channels, 4 * filters),
            f"{name}/recurrent_kernel": normal(*size, filters, 4 * filters),
            f"{name}/bias": normal(4 * filters),
        }

        def function(x, w, u, b):
            around = [n for s in reversed(size) for n in ((s - 1) // 2, s // 2)]
            h = c = None
            results = []
            for t in reversed(range(steps)) if backwards else range(steps):
                z = CONVOLUTION[axes](first(x[:, t]), kernel_first(w), b, stride)
                if h is not None:
                    z = z + CONVOLUTION[axes](F.pad(h, around), kernel_first(u))
                gates = z.split(filters, 1)
                new = torch.sigmoid(gates[0]) * torch.tanh(gates[2])
                c = new if c is None else torch.sigmoid(gates[1]) * c + new
                h = torch.sigmoid(gates[3]) * torch.tanh(c)
                results.append(last(h))
            return torch.stack(results, 1) if sequences else results[-1]

        settings = listed(size=size, stride=stride) | {"filters": filters, "sequences": sequences, "backwards": backwards}
        return named, list(named), settings, function

    return case_of


def heads_of(i):
    """Heads of queries and of keys and values, their size, the batch, the length and the width."""
    return cycle([4, 2, 6, 3], i), cycle([2, 1, 3, 1, 2, 2, 3, 3], i), cycle([2, 3, 1], i), cycle([1, 2], i), cycle([5, 3, 7, 1], i), cycle([3, 4, 2], i)


def multi_head(name, width, heads, shared, size):
    """The parameters of an attention layer of one sequence."""
    columns = (heads + 2 * shared) * size
    return {
        f"{name}/qkv/kernel": normal(width, columns),
        f"{name}/qkv/bias": normal(columns),
        f"{name}/output/kernel": normal(heads * size, width),
        f"{name}/output/bias": normal(width),
    }


def attended(x, w, b, o, c, heads, shared, size, causal, bias=None):
    """By PyTorch's function, whose heads share keys and values."""
    n, length, _ = x.shape
    parts = (x @ w + b).split([heads * size, shared * size, shared * size], -1)
    q, k, v = (part.reshape(n, length, -1, size).transpose(1, 2) for part in parts)
    if bias is not None and causal:
        bias = bias.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -torch.inf)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bool(causal) and bias is None, enable_gqa=True)
    return y.transpose(1, 2).reshape(n, length, heads * size) @ o + c


def group_query_attention(i):
    """At lengths that are cut into groups too, in blocks where a block is given."""
    heads, shared, size, batch, length, width = heads_of(i)
    length, causal, block = cycle([length, length, 131], i) if size < 3 else length, i % 2, cycle([0, 0, 0, 2, 3], i)
    if length > 100:
        batch, heads, shared, size, width = 1, 2, 1, 1, 1
    settings = {"heads": heads, "shared": shared, "size": size, "causal": causal, "block": block}
    named = {"x": normal(batch, length, width)} | multi_head("multi_head_attention", width, heads, shared, size)
    return named, list(named), settings, lambda *leaves: attended(*leaves, heads, shared, size, causal)


def bucket(distance, causal, buckets, most):
    """T5's bucket of a distance, as in the paper's code."""
    after, far = 0, max(-distance, 0)
    if not causal:
        buckets //= 2
        after, far = (buckets if distance > 0 else 0), abs(distance)
    exact = buckets // 2
    if far < exact:
        return after + far
    return after + min(exact + int(math.log(far / exact) / math.log(most / exact) * (buckets - exact)), buckets - 1)


def relative_position_bias(i):
    heads, shared, size, batch, length, width = heads_of(i)
    length, causal, buckets, most = length + 4, i % 2, cycle([8, 6, 32], i), cycle([7, 20, 12], i)
    most = max(most, buckets)
    settings = {"heads": heads, "shared": shared, "size": size, "causal": causal, "buckets": buckets, "most": most}
    places = torch.tensor([[bucket(k - q, causal, buckets, most) for k in range(length)] for q in range(length)])
    named = {"x": normal(batch, length, width)} | multi_head("multi_head_attention", width, heads, shared, size)
    named |= {"multi_head_attention/relative_position_bias/embeddings": normal(buckets, heads)}

    def function(*leaves):
        *others, table = leaves
        return attended(*others, heads, shared, size, causal, table[places].permute(2, 0, 1))

    return named, list(named), settings, function


def additive_attention(i):
    """Keras's layer; some cases with keys that are left out, and the first one always seen."""
    batch, queries, keys, size, width = cycle([1, 2, 3], i), cycle([3, 1, 5], i), cycle([3, 4, 1, 5], i), cycle([2, 3, 1], i), cycle([2, 1, 4], i)
    causal, masked = i % 3 == 2, i % 2
    keys = queries if causal else keys
    mask = (torch.rand(batch, keys, generator=random) > 0.4 * masked).double()
    mask[:, 0] = 1
    named = {"q": normal(batch, queries, size), "v": normal(batch, keys, width), "k": normal(batch, keys, size), "additive_attention/scale": normal(size)}

    def function(q, v, k, scale):
        scores = (torch.tanh(q[:, :, None] + k[:, None]) * scale).sum(-1)
        seen = (mask > 0)[:, None].expand(scores.shape)
        if causal:
            seen = seen & torch.ones(queries, keys, dtype=torch.bool).tril()
        return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v

    return named | {"mask": mask}, list(named), {"causal": causal}, function


def decoder_block(i):
    """PyTorch's decoder layer with the normalization first, with masks of what both sequences are filled up with."""
    heads, size, batch, length, memory_length, hidden = cycle([1, 2, 3], i), cycle([2, 1], i), cycle([1, 2], i), cycle([3, 5, 1, 4], i), cycle([4, 2, 3], i), cycle([3, 5], i)
    width = heads * size
    layer = torch.nn.TransformerDecoderLayer(width, heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True).double()
    masks = {}
    for name, n in ("mask", length), ("memory_mask", memory_length):
        masks[name] = (torch.rand(batch, n, generator=random) > 0.3).double()
        masks[name][:, 0] = 1
    at = "transformer_block"
    shapes = {
        "norm1/gamma": [width], "norm1/beta": [width],
        "attention/qkv/kernel": [width, 3 * width], "attention/qkv/bias": [3 * width],
        "attention/output/kernel": [width, width], "attention/output/bias": [width],
        "cross_norm/gamma": [width], "cross_norm/beta": [width],
        "cross_attention/query/kernel": [width, width], "cross_attention/query/bias": [width],
        "cross_attention/key_value/kernel": [width, 2 * width], "cross_attention/key_value/bias": [2 * width],
        "cross_attention/output/kernel": [width, width], "cross_attention/output/bias": [width],
        "norm2/gamma": [width], "norm2/beta": [width],
        "dense1/kernel": [width, hidden], "dense1/bias": [hidden], "dense2/kernel": [hidden, width], "dense2/bias": [width],
    }
    named = {"x": normal(batch, length, width), "memory": normal(batch, memory_length, width)} | {f"{at}/{part}": normal(*dims) for part, dims in shapes.items()}

    def function(x, memory, *leaves):
        p = dict(zip(shapes, leaves))
        parameters = {
            "self_attn.in_proj_weight": p["attention/qkv/kernel"].T, "self_attn.in_proj_bias": p["attention/qkv/bias"],
            "self_attn.out_proj.weight": p["attention/output/kernel"].T, "self_attn.out_proj.bias": p["attention/output/bias"],
            "multihead_attn.in_proj_weight": torch.cat([p["cross_attention/query/kernel"].T, p["cross_attention/key_value/kernel"].T]),
            "multihead_attn.in_proj_bias": torch.cat([p["cross_attention/query/bias"], p["cross_attention/key_value/bias"]]),
            "multihead_attn.out_proj.weight": p["cross_attention/output/kernel"].T, "multihead_attn.out_proj.bias": p["cross_attention/output/bias"],
            "linear1.weight": p["dense1/kernel"].T, "linear1.bias": p["dense1/bias"], "linear2.weight": p["dense2/kernel"].T, "linear2.bias": p["dense2/bias"],
        }
        for number, name in (1, "norm1"), (2, "cross_norm"), (3, "norm2"):
            parameters |= {f"norm{number}.weight": p[f"{name}/gamma"], f"norm{number}.bias": p[f"{name}/beta"]}
        hidden_keys = {"tgt_key_padding_mask": masks["mask"] == 0, "memory_key_padding_mask": masks["memory_mask"] == 0}
        arguments = {"tgt_mask": ~torch.ones(length, length, dtype=torch.bool).tril()} | hidden_keys
        return torch.func.functional_call(layer, parameters, (x, memory), arguments)

    return named | masks, list(named), {"heads": heads, "hidden": hidden}, function


FILES = {
    "grid_sample": grid_sample,
    "einsum": einsum,
    "sort": sort,
    "conv3d": conv3d,
    "depthwise_conv1d": depthwise(1),
    "depthwise_conv2d": depthwise(2),
    "separable_conv1d": separable(1),
    "separable_conv2d": separable(2),
    "conv1d_transpose": transposed(1),
    "conv2d_transpose": transposed(2),
    "conv3d_transpose": transposed(3),
    "conv2d_transpose_same": transposed_same,
    "max_pooling3d": pool3d(F.max_pool3d),
    "average_pooling3d": pool3d(lambda x, size, stride, pad: F.avg_pool3d(x, size, stride, pad, count_include_pad=False)),
    "activations": activations,
    "glu": glu,
    "p_re_lu": p_re_lu,
    "p_re_lu_of_elements": p_re_lu_of_elements,
    "layer_scale": layer_scale,
    "unit_normalization": unit_normalization,
    "up_sampling1d": up_sampling(sequence, "nearest"),
    "up_sampling2d": up_sampling(image, "nearest"),
    "up_sampling3d": up_sampling(volume, "nearest"),
    "up_sampling1d_bilinear": up_sampling(sequence, "linear"),
    "up_sampling2d_bilinear": up_sampling(image, "bilinear"),
    "up_sampling3d_bilinear": up_sampling(volume, "trilinear"),
    "borders1d": borders(sequence),
    "borders2d": borders(image),
    "borders3d": borders(volume),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "shapes": shapes,
    "merges": merges,
    "lstm_cell": cell("lstm"),
    "gru_cell": cell("gru"),
    "simple_rnn_cell": cell("simple_rnn"),
    "conv_lstm1d": conv_lstm(1),
    "conv_lstm2d": conv_lstm(2),
    "conv_lstm3d": conv_lstm(3),
    "group_query_attention": group_query_attention,
    "relative_position_bias": relative_position_bias,
    "additive_attention": additive_attention,
    "decoder_block": decoder_block,
    "adaptive_average_pooling1d": adaptive("average", 1),
    "adaptive_max_pooling1d": adaptive("max", 1),
    "reflection_pad1d": padded_by("reflect", 1),
    "replication_pad1d": padded_by("replicate", 1),
    "circular_pad1d": padded_by("circular", 1),
    "adaptive_average_pooling2d": adaptive("average", 2),
    "adaptive_max_pooling2d": adaptive("max", 2),
    "reflection_pad2d": padded_by("reflect", 2),
    "replication_pad2d": padded_by("replicate", 2),
    "circular_pad2d": padded_by("circular", 2),
    "adaptive_average_pooling3d": adaptive("average", 3),
    "adaptive_max_pooling3d": adaptive("max", 3),
    "reflection_pad3d": padded_by("reflect", 3),
    "replication_pad3d": padded_by("replicate", 3),
    "circular_pad3d": padded_by("circular", 3),
    "lp_pooling1d": lp_pool(1),
    "lp_pooling2d": lp_pool(2),
    "max_unpooling2d": max_unpool,
    "local_response_normalization": local_response_normalization,
    "bilinear": bilinear,
    "einsum_dense": einsum_dense,
    "spectral_normalization": spectral_normalization,
    "unfold": unfold,
    "fold": fold,
    "sparsemax": sparsemax,
    "r_re_lu": r_re_lu,
}

for name in sys.argv[1:] or FILES:
    write(name, FILES[name])
