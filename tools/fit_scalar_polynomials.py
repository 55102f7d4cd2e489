"""Fits the polynomials of ir/src/scalar/expand and prints them as Rust constants.

Run: `python3 tools/fit_scalar_polynomials.py` (needs mpmath). Each polynomial is the interpolant at Chebyshev nodes in 60-digit
arithmetic, of the least degree whose error stays under the tolerance given; that is within a small factor of the
minimax error. Coefficients are printed lowest degree first, rounded to the format.
"""
import struct
from mpmath import mp, mpf, chebyfit, exp, log, log1p, erf, erfc, sin, cos, atanh, sqrt, pi, tanh

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
fit("EXP", lambda r: (exp(r) - 1 - r) / r**2, -half, half, two(-26), two(-55))
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
# erf(x) = x + x p(x^2) below the cut
CUT = 1
fit("ERF_SMALL", lambda z: erf(sqrt(z)) / sqrt(z) - 1, 0, mpf(CUT) ** 2, two(-28), two(-57))
# f32, above the cut: erf(a) = p(a - 2.5)
fit("ERF_LARGE", lambda t: erf(t + mpf("2.5")), mpf(CUT) - mpf("2.5"), mpf("1.5"), two(-27), None, only=32)
# f64, above the cut: erf(a) = 1 - exp(-a^2) p(u), u = (a - 2) / (a + 2)
def erfcx(u):
    a = 2 * (1 + u) / (1 - u)
    return erfc(a) * exp(a * a)
fit("ERFCX", erfcx, (mpf(CUT) - 2) / (CUT + 2), (mpf(6) - 2) / (6 + 2), None, two(-55), only=64)

# tanh(x) = x + x z p(z), z = x^2, for x up to 9/16
fit("TANH", lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z, 0, mpf("0.5625") ** 2, two(-26), two(-55))

split("LOG2_E", 1 / LN2, 2)
split("LN_2", LN2, 3)
split("PI/2", pi / 2, 4)
split("2/PI", 2 / pi, 2)
split("2/3", mpf(2) / 3, 2)
