"""Fits the polynomials of ir/src/scalar/expand and prints them as Rust constants.

Run: `python3 tools/fit_scalar_polynomials.py` (needs mpmath). Most polynomials are the interpolant at Chebyshev nodes in 60-digit
arithmetic, of the least degree whose error stays under the tolerance given; that is within a small factor of the
minimax error. Those that most time is spent in are, for f32, minimax polynomials (Remez) of a given number of coefficients, rounded, and then moved
by units in the last place as long as that lowers the error. Coefficients are printed lowest degree first, rounded to the format.
"""
import itertools
import struct
from mpmath import mp, mpf, chebyfit, lu_solve, matrix, exp, log, log1p, erf, erfc, sin, cos, atanh, sqrt, pi, tanh, polyval

mp.dps = 60
TINY = mpf(10) ** -25


def to_f32(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def shortest_f32(x):
    for digits in range(1, 12):
        text = "%.*g" % (digits, x)
        if to_f32(float(text)) == x:
            return text
    raise AssertionError


def text(x, bits):
    return shortest_f32(to_f32(x)) if bits == 32 else repr(float(x))


def fit(name, f, lo, hi, tol32, tol64, only=None):
    """Prints `name`, approximating f on [lo, hi] within the absolute tolerances."""
    def safe(x):
        return f(x if abs(x) > TINY else TINY)

    for bits, tol in ((32, tol32), (64, tol64)):
        if only and bits != only:
            continue
        for n in range(2, 60):
            coefficients, err = chebyfit(safe, [lo, hi], n, error=True)
            if err < tol:
                break
        items = [text(c, bits) for c in reversed(coefficients)]
        items = [i if any(c in i for c in ".e") else i + ".0" for i in items]
        print(f"{name} f{bits}: degree {n - 1}, error 2^{float(log(err, 2)):.1f}")
        print("    &[" + ", ".join(items) + "],")


def remez(g, w, lo, hi, n):
    """The polynomial of n coefficients with the least `max |w (g - p)|` on [lo, hi], by exchange on a grid."""
    lo, hi = mpf(lo), mpf(hi)
    points = [(lo + hi) / 2 + (hi - lo) / 2 * cos(pi * (n - i) / n) for i in range(n + 1)]
    grid = [(x, g(x), w(x)) for x in (lo + (hi - lo) * i / 801 for i in range(802))]
    for _ in range(30):
        a, b = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, x in enumerate(points):
            for j in range(n):
                a[i, j] = x**j
            a[i, n], b[i] = (-1) ** i / w(x), g(x)
        solved = lu_solve(a, b)
        coefficients = [solved[j] for j in range(n)]
        runs = []
        for x, value, weight in grid:
            error = weight * (value - sum(c * x**j for j, c in enumerate(coefficients)))
            if not runs or (error >= 0) != runs[-1][0]:
                runs.append([error >= 0, x, abs(error)])
            elif abs(error) > runs[-1][2]:
                runs[-1][1:] = [x, abs(error)]
        while len(runs) > n + 1:
            runs.pop(0 if runs[0][2] < runs[-1][2] else -1)
        sizes = [size for _, _, size in runs]
        if len(runs) < n + 1 or max(sizes) - min(sizes) < max(sizes) * mpf("0.02"):
            break
        points = [x for _, x, _ in runs]
    return coefficients


def moved(x, units):
    """The f32 that many units in the last place away."""
    bits = struct.unpack("i", struct.pack("f", x))[0]
    return struct.unpack("f", struct.pack("i", bits + units))[0]


def minimax(name, g, w, lo, hi, n):
    """Prints `name`, approximating g by n coefficients in f32 with the least weighted error found."""
    c = [to_f32(q) for q in remez(g, w, lo, hi, n)]
    grid = [mpf(lo) + (mpf(hi) - mpf(lo)) * i / 400 for i in range(401)]
    basis = [[float(w(x) * x**j) for j in range(n)] for x in grid]
    rest = [float(w(x) * (g(x) - sum(mpf(q) * x**j for j, q in enumerate(c)))) for x in grid]
    best, improved = max(map(abs, rest)), True
    places = [p for size in (1, 2) for p in itertools.combinations(range(n), size)]
    while improved:
        improved = False
        for at in places:
            for units in itertools.product(range(-2, 3), repeat=len(at)):
                steps = [(j, moved(c[j], u) - c[j]) for j, u in zip(at, units)]
                tried = [r - sum(d * b[j] for j, d in steps) for r, b in zip(rest, basis)]
                error = max(map(abs, tried))
                if error < best * 0.9999:
                    rest, best, improved = tried, error, True
                    for j, d in steps:
                        c[j] += d
    print(f"{name} f32: degree {n - 1}, error 2^{float(log(best, 2)):.1f}")
    print("    &[" + ", ".join(shortest_f32(q) for q in c) + "],")


def rational(name, f, hi, m, n, bits, scale=0):
    """Prints `name`, the quotient of polynomials of degrees m and n with the least relative error from f on [0, hi], by exchange; the first times 2^scale."""
    hi, size = mpf(hi), m + n + 2
    end = hi / (hi + 2)
    points = [end * (1 - cos(pi * i / 600)) / 2 for i in range(601)]
    points = [2 * t / (1 - t) for t in points]
    values = [f(x) for x in points]
    at = [round(600 * i / (size - 1)) for i in range(size)]
    level, below, best = mpf(0), [mpf(1)], None
    for _ in range(40):
        for _ in range(6):
            a, b = matrix(size, size), matrix(size, 1)
            for row, i in enumerate(at):
                x, sign = points[i], (-1) ** row
                b[row] = values[i] * (1 + sign * level)
                for j in range(m + 1):
                    a[row, j] = x**j
                for j in range(1, n + 1):
                    a[row, m + j] = -b[row] * x**j
                a[row, size - 1] = -values[i] * sign * sum(c * x**j for j, c in enumerate(below))
            solved = lu_solve(a, b)
            above, below = [solved[j] for j in range(m + 1)], [mpf(1)] + [solved[m + j] for j in range(1, n + 1)]
            level += solved[size - 1]
        quotients = [polyval(above[::-1], x) / polyval(below[::-1], x) / v - 1 for x, v in zip(points, values)]
        error = max(abs(q) for q in quotients)
        if best is None or error < best[0]:
            best = (error, above, below)
        runs = []
        for i, q in enumerate(quotients):
            if not runs or (q >= 0) != runs[-1][0]:
                runs.append([q >= 0, i, abs(q)])
            elif abs(q) > runs[-1][2]:
                runs[-1][1:] = [i, abs(q)]
        while len(runs) > size:
            runs.pop(0 if runs[0][2] < runs[-1][2] else -1)
        if len(runs) < size:
            break
        at = [i for _, i, _ in runs]
    print(f"{name} f{bits}: degrees {m} and {n}, error 2^{float(log(best[0], 2)):.1f}")
    for part in ([c * two(scale) for c in best[1]], best[2]):
        items = [text(c, bits) for c in part]
        print("    &[" + ", ".join(i if any(c in i for c in ".e") else i + ".0" for i in items) + "],")


def split(name, x, parts):
    """Prints x as a sum of floats, each the rest rounded: a Cody-Waite constant for use with fma."""
    for bits in (32, 64):
        rest, out = mpf(x), []
        for _ in range(parts):
            part = to_f32(rest) if bits == 32 else float(rest)
            out.append(text(part, bits))
            rest -= mpf(part)
        print(f"{name} f{bits}: &[" + ", ".join(out) + "]")


def two(n):
    return mpf(2) ** n


LN2 = log(mpf(2))
half = LN2 / 2 * mpf("1.001")
# exp(r) = 1 + r + r^2 q(r)
fit("EXP", lambda r: (exp(r) - 1 - r) / r**2, -half, half, None, two(-55), only=64)
at = lambda x: x if abs(x) > mpf(10) ** -18 else mpf(10) ** -18
minimax("EXP", lambda r: (exp(at(r)) - 1 - at(r)) / at(r) ** 2, lambda r: at(r) ** 2 / exp(r), -half, half, 5)
# log(1 + f) = f + f^2 q(f)
fit("LOG", lambda f: (log1p(f) - f) / f**2, sqrt(mpf(2)) / 2 - 1, sqrt(mpf(2)) - 1, two(-26), two(-55))
# log(m) = 2s + 2/3 s^3 + s^5 q(s^2), s = (m - 1) / (m + 1)
edge = (sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)
fit("ATANH", lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2 - 2 * z / 3) / z**2, 0, edge**2 * mpf("1.001"), two(-26), two(-58))
# sin(r) = r + r z s(z), cos(r) = 1 - z/2 + z^2 c(z), z = r^2
# r may exceed pi/4 where n is off by a fraction for large arguments
zmax = mpf("0.92") ** 2
fit("SIN", lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z, 0, zmax, two(-28), two(-57))
fit("COS", lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2, 0, zmax, two(-27), two(-56))
# f32: erf(x) = x + x p(x^2 - 1.75) below 1.875, p(x - 2.90625) up to 3.93
slope = lambda s: erf(sqrt(at(s + mpf("1.75")))) / sqrt(at(s + mpf("1.75")))
minimax("ERF_SMALL", lambda s: slope(s) - 1, lambda s: 1 / slope(s), mpf("-1.75"), mpf("1.875") ** 2 - mpf("1.75"), 10)
tail = lambda t: erf(t + mpf("2.90625"))
minimax("ERF_LARGE", tail, lambda t: 1 / tail(t), mpf("1.875") - mpf("2.90625"), mpf("3.93") - mpf("2.90625"), 11)
# f64: erf(x) = x + x p(x^2) below the cut
CUT = 1
fit("ERF_SMALL", lambda z: erf(sqrt(z)) / sqrt(z) - 1, 0, mpf(CUT) ** 2, None, two(-57), only=64)
# f64, above the cut: erf(a) = 1 - exp(-a^2) p(u), u = (a - 2) / (a + 2)
def erfcx(u):
    a = 2 * (1 + u) / (1 - u)
    return erfc(a) * exp(a * a)
fit("ERFCX", erfcx, (mpf(CUT) - 2) / (CUT + 2), (mpf(6) - 2) / (6 + 2), None, two(-55), only=64)

# erfc(a) = exp(-a^2) p(u), f64: exp(-a^2) p(u) / (1 + 2 a), u = (a - K) / (a + K), up to where it underflows
def scaled(k):
    return lambda u: erfc(k * (1 + u) / (1 - u)) * exp((k * (1 + u) / (1 - u)) ** 2)
minimax("ERFC", scaled(mpf(3)), lambda u: 1 / scaled(mpf(3))(u), -1, (mpf("10.1") - 3) / (mpf("10.1") + 3), 11)
level = lambda u: scaled(mpf(4))(u) * (1 + 8 * (1 + u) / (1 - u))
fit("ERFC", level, -1, (mpf("27.3") - 4) / (mpf("27.3") + 4), None, two(-57), only=64)

# The normal distribution's tail: exp(-a^2 / 2) N(a) / D(a), the exponential being 2^n exp(-r / 2) with r = a^2 + 2 n ln 2. 2 ln 2 is rounded to the format: the
# quotient makes up for what that changes.
for bits, rounded in ((32, mpf(to_f32(2 * LN2)) / 2), (64, mpf(float(LN2)))):
    base = LN2 / rounded
    tail_of = lambda a: erfc(a / sqrt(mpf(2))) / 2 * exp(a * a / 2 * base)
    bell = lambda r: (exp(-at(r) / 2 * base) - 1) / at(r)
    ends = (-rounded * mpf("1.002"), rounded * mpf("1.002"))
    if bits == 32:
        for name, m, n, terms in (("NORMAL", 4, 5, 6), ("NORMAL_SHORT", 3, 3, 4)):
            rational(name + "_TAIL", tail_of, "14.3", m, n, 32, -64)
            minimax(name + "_BELL", bell, lambda r: at(r) * exp(r / 2), *ends, terms)
    else:
        rational("NORMAL_TAIL", tail_of, "38.7", 10, 11, 64, -512)
        fit("NORMAL_BELL", bell, *ends, None, two(-56), only=64)

# tanh(x) = x + x z p(z), z = x^2, for x up to 9/16
fit("TANH", lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z, 0, mpf("0.5625") ** 2, None, two(-55), only=64)
minimax("TANH", lambda z: (tanh(sqrt(at(z))) / sqrt(at(z)) - 1) / at(z), at, 0, mpf("0.5625") ** 2, 5)

split("LOG2_E", 1 / LN2, 2)
split("LN_2", LN2, 3)
split("PI/2", pi / 2, 4)
split("2/PI", 2 / pi, 2)
split("2/3", mpf(2) / 3, 2)
