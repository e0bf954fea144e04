"""Element-wise comparison of a result with a reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Unit roundoff: the largest relative error of one rounding to the dtype.
UNIT = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24, torch.float64: 2.0**-53}
# Half the distance of subnormal numbers: the absolute error of one rounding near zero.
TINY = {torch.float16: 2.0**-25, torch.bfloat16: 2.0**-134, torch.float32: 2.0**-150, torch.float64: 0.0}


def assert_close(
    actual: Tensor,
    reference: Tensor,
    *,
    relative: float = 0.0,
    absolute: float | Tensor = 0.0,
    norm: float | None = None,
) -> None:
    """Fails unless `|actual - reference| <= absolute + relative * |reference|` for every element.

    NaN agrees with NaN, an infinity with the same infinity, and with nothing else. `absolute` may be a tensor that
    broadcasts against the reference. `norm` bounds `||actual - reference|| / ||reference||` besides. The message
    names the first bad element, both values, the allowed error, and how many and how bad the others are.
    """
    assert actual.shape == reference.shape, f"shape {list(actual.shape)}, expected {list(reference.shape)}"
    a, r = actual.detach().double(), reference.detach().double()
    allowed = (r.abs() * relative + absolute).broadcast_to(r.shape)
    error = (a - r).abs()
    same_special = (a.isnan() & r.isnan()) | ((a == r) & a.isinf())
    good = same_special | (a.isfinite() & r.isfinite() & (error <= allowed))
    finite = a.isfinite() & r.isfinite()
    zero = torch.zeros_like(error)
    error_norm = float(torch.where(finite, error, zero).norm())
    reference_norm = float(torch.where(finite, r, zero).norm())
    ratio = error_norm / reference_norm if reference_norm > 0 else (0.0 if error_norm == 0 else math.inf)
    bad = (~good).flatten()
    if bool(bad.any()):
        first = int(bad.to(torch.uint8).argmax())
        coordinate = []
        rest = first
        for size in reversed(a.shape):
            coordinate.append(rest % size)
            rest //= size
        got, expected, limit = (float(tensor.flatten()[first]) for tensor in (a, r, allowed))
        largest = float(torch.where(finite, error, zero).max())
        raise AssertionError(
            f"{int(bad.sum())} of {a.numel()} elements differ; first at {coordinate[::-1]}: got {got:.9g}, expected "
            f"{expected:.9g} +- {limit:.3g}; largest finite error {largest:.3g}, relative norm error {ratio:.3g}"
        )
    assert norm is None or ratio <= norm, f"relative norm error {ratio:.3g}, allowed {norm:.3g}"


def assert_rounded(actual: Tensor, exact: Tensor, *, steps: float = 1.0, absolute: float | Tensor = 0.0) -> None:
    """Fails unless `actual` is `exact` after `steps` roundings to actual's dtype (plus an `absolute` allowance).

    One rounding of a value computed in float32 gets a sixteenth more: the float32 error may tip a tie.
    """
    dtype = actual.dtype
    slack = 1.0625 if dtype in (torch.float16, torch.bfloat16) else 1.0
    assert_close(actual, exact, relative=steps * slack * UNIT[dtype], absolute=absolute + steps * TINY[dtype])


def assert_quantized(
    out: Tensor, scale: Tensor, exact: Tensor, *, error: float | Tensor = 0.0, absolute_scale: float = 0.0
) -> None:
    """Fails unless `out` and `scale` are the per-token symmetric int8 of `exact [..., C]` (float32 or float64).

    `error` is the absolute error, in units of one int8 step, that the quotient `x * 127 / max|x|` may have before
    it is rounded to an integer. The scale has one rounding to float16.
    """
    values = exact.double().reshape(-1, exact.shape[-1])
    largest = values.abs().amax(-1, keepdim=True)
    quotient = torch.where(largest > 0, values * 127 / largest, torch.zeros_like(values))
    # A half for the rounding to an integer; float32 arithmetic moves a quotient of 127 by a few of its last places.
    assert_close(out.reshape(values.shape), quotient, absolute=0.5 + 127 * 2.0**-21 + error)
    assert int(out.to(torch.int16).abs().max() if out.numel() else 0) <= 127, "per-token int8 must stay within +-127"
    assert_rounded(scale.flatten(), largest.flatten() / 127, absolute=absolute_scale)


def assert_same_bits(first: Tensor, second: Tensor) -> None:
    """Fails unless both hold the same bits: NaN equals NaN here, and -0 differs from 0."""
    assert first.dtype == second.dtype and first.shape == second.shape
    bits = [
        tensor.clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8) for tensor in (first, second)
    ]
    assert torch.equal(*bits), f"{int((first != second).sum())} of {first.numel()} elements differ in their bits"
