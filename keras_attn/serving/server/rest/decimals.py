"""Floating-point numbers in decimal, with the digits that TF Serving gives them.

Six digits where they say it all, else as many as bring back the same number: nine for
float32, seventeen for float64.
"""

import numpy as np

_DIGITS = {4: 9, 8: 17}
_NAMES = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_LARGEST_FLOAT = float(np.finfo(np.float32).max)

# Powers of ten up to here are floats themselves, so that scaling by one rounds once.
_LARGEST_POWER = 22
_LOWEST, _HIGHEST = 8 - _LARGEST_POWER, 5 + _LARGEST_POWER
_EXPONENTS = range(_LOWEST, _HIGHEST + 2)
_POWERS = np.array([float(f"1e{exponent}") for exponent in _EXPONENTS])
_BLOCK = 1 << 13  # numbers that stay in the cache while they are worked on
_TIE = 1e-6  # scaled numbers have errors below this


def spell(values: np.ndarray) -> list[str]:
    """The numbers of a float32 or float64 array as TF Serving writes them."""
    numbers = values.ravel().tolist()
    short = [f"{number:.6g}" for number in numbers]
    with np.errstate(over="ignore"):
        back = np.array([float(text) for text in short]).astype(values.dtype)
    digits = _DIGITS[values.dtype.itemsize]
    enough = (back == values.ravel()).tolist()
    return [
        _finish(text if fits else f"{number:.{digits}g}")
        for text, fits, number in zip(short, enough, numbers, strict=True)
    ]


def spell_number(number: float) -> str:
    """One number of a request, as TF Serving quotes it in an error text."""
    dtype = np.float32 if abs(number) <= _LARGEST_FLOAT else np.float64
    return spell(np.array([number], dtype))[0]


def _finish(text: str) -> str:
    """Whole numbers are told from integers by `.0`."""
    if text in _NAMES:
        return _NAMES[text]
    return text if "." in text or "e" in text else f"{text}.0"


def round_to_digits(values: np.ndarray) -> np.ndarray:
    """The float64 numbers that `spell` writes for finite float32 ones, at array speed.

    Their shortest decimal is the digits that `spell` gives, so that any writer of
    float64 says the same with them.
    """
    flat = values.ravel()
    blocks = [flat[i : i + _BLOCK] for i in range(0, flat.size or 1, _BLOCK)]
    return np.concatenate([_round_block(block) for block in blocks]).reshape(
        values.shape
    )


def _round_block(values: np.ndarray) -> np.ndarray:
    exact = values.astype(np.float64)
    exponents = np.searchsorted(_POWERS, np.abs(exact), side="right") + (_LOWEST - 1)
    outside = (exponents < _LOWEST) | (exponents > _HIGHEST)
    exponents = np.clip(exponents, _LOWEST, _HIGHEST)
    rounded, unsure = _round(exact, 8 - exponents)
    short, _ = _round(exact, 5 - exponents)
    with np.errstate(over="ignore"):
        rounded = np.where(short.astype(np.float32) == values, short, rounded)
    slow = (outside | unsure) & (exact != 0)
    rounded[slow] = [float(text) for text in spell(values[slow])]
    return rounded


def _round(numbers: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds to decimal places, or before the point; says where that is unsure."""
    up, down = _power(places), _power(-places)
    scaled = numbers * up / down
    fraction = np.abs(scaled - np.trunc(scaled))
    return np.rint(scaled) * down / up, np.abs(fraction - 0.5) < _TIE


def _power(exponents: np.ndarray) -> np.ndarray:
    """Ten to the exponents, 1 for negative ones."""
    return _POWERS[np.maximum(exponents, 0) - _LOWEST]
