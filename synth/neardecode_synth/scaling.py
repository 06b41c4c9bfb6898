"""Area, delay and energy at another node: by published rules only, and always as a range.

Two rules, and the range is over all that they say:

- Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance
  from 180 nm to 7 nm", Integration 58 (2017) 74-81, doi 10.1016/j.vlsi.2017.02.002: a table of
  areas, and for each node polynomials of the supply for the delay and the energy of a gate, for
  transistors of high performance and (from 45 nm on) of low power. Here both kinds, at the nominal
  supply of the predictive technology models that it is fitted to, and at ten per cent less and
  more.
- Scaling by the feature size alone (Dennard et al., JSSC 9 (1974); with supplies of their own,
  Baccarani et al., IEEE Trans. Electron Devices 31 (1984)): area by its square, delay in
  proportion, energy in proportion to it and to the square of the supply.

It is of gates: SRAM shrinks otherwise, wires hardly, and neither is scaled here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["NODES", "Factors", "scale"]

SPREAD = 0.1
"""Of the supply."""

_TABLE: dict[int, tuple[float, tuple[float, ...], tuple[tuple[tuple[float, ...], ...], ...]]] = {
    180: (320, (1.8,), (((0, 97.09, -356.7, 406.5), (0, 24.64, -17.98)),)),
    130: (110, (1.3,), (((-76.65, 334.9, -493.4, 275.8), (7.171, -6.709, 2.904)),)),
    90: (48, (1.2,), (((-60.34, 262.5, -384.2, 210.9), (4.762, -4.781, 2.092)),)),
    65: (25, (1.1,), (((-53.3, 230.4, -333.9, 178.6), (3.755, -4.398, 1.975)),)),
    45: (
        17,
        (1.0, 1.1),
        (
            ((-501.6, 1567, -1619, 566.1), (1.018, -0.3107, 0.1539)),
            ((-285.7, 1239, -1795, 898.8), (1.103, -0.362, 0.2767)),
        ),
    ),
    32: (
        7.8,
        (0.9, 1.0),
        (
            ((-1047, 2982, -2797, 873.5), (0.8367, -0.4341, 0.1701)),
            ((-325.9, 1374, -1922, 913.2), (0.9559, -0.7823, 0.471)),
        ),
    ),
    20: (
        3.6,
        (0.9, 0.9),
        (
            ((0, 34.63, -66.37, 41.15), (0.373, -0.1582, 0.04104)),
            ((-160.5, 514.1, -558.6, 217.5), (0.2632, -0.14, 0.06841)),
        ),
    ),
    16: (
        3.2,
        (0.85, 0.85),
        (
            ((0, 24.8, -47.52, 28.87), (0.2958, -0.1241, 0.03024)),
            ((-114.6, 366.7, -397.4, 153.6), (0.2139, -0.1187, 0.05639)),
        ),
    ),
    14: (
        2.9,
        (0.8, 0.8),
        (
            ((-40.66, 109.2, -100.6, 35.92), (0.2363, -0.09675, 0.02239)),
            ((-85.37, 271.6, -292.2, 111.4), (0.1556, -0.06472, 0.03066)),
        ),
    ),
    10: (
        1.7,
        (0.75, 0.75),
        (
            ((-34.95, 93.65, -85.99, 30.4), (0.2068, -0.09311, 0.02375)),
            ((-71.76, 228.6, -246.3, 93.91), (0.1261, -0.0518, 0.02769)),
        ),
    ),
    7: (
        1.0,
        (0.7, 0.7),
        (
            ((-28.58, 76.6, -70.26, 24.69), (0.1776, -0.09097, 0.02447)),
            ((-61.79, 196.1, -210.3, 79.55), (0.09365, -0.03409, 0.02043)),
        ),
    ),
}
"""For each node: area of the same thing at 7 nm being 1; nominal supplies, and polynomials of delay
and of energy, of each kind of transistor."""

NODES = tuple(_TABLE)
"""The nodes that the rules know, in nm."""


@dataclass(frozen=True)
class Factors:
    """By what to multiply, at least and at most.

    Attributes:
        area: Of areas.
        delay: Of delays.
        energy: Of energies.
    """

    area: tuple[float, float]
    delay: tuple[float, float]
    energy: tuple[float, float]


def scale(from_nm: int, to_nm: int) -> Factors:
    """From one node to another.

    Raises:
        ValueError: if the rules do not know one of them.
    """
    for node in (from_nm, to_nm):
        if node not in _TABLE:
            known = ", ".join(map(str, NODES))
            raise ValueError(f"no rule scales from or to {node} nm; known: {known}")
    if from_nm == to_nm:
        return Factors((1, 1), (1, 1), (1, 1))
    size = to_nm / from_nm
    areas = [size**2, _TABLE[to_nm][0] / _TABLE[from_nm][0]]
    before, after = _TABLE[from_nm][1], _TABLE[to_nm][1]
    supplies = [(new / old) ** 2 for new in after for old in before]
    delays = [size, *_ratios(from_nm, to_nm, 0)]
    energies = [*(size * supply for supply in supplies), *_ratios(from_nm, to_nm, 1)]
    return Factors(*((min(each), max(each)) for each in (areas, delays, energies)))


def _ratios(from_nm: int, to_nm: int, of: int) -> Iterator[float]:
    """What the polynomials give, from the nominal supply to all of the other node's."""
    for old, polynomials in zip(*_TABLE[from_nm][1:], strict=True):
        base = _value(polynomials[of], old)
        for new, others in zip(*_TABLE[to_nm][1:], strict=True):
            for part in (1 - SPREAD, 1, 1 + SPREAD):
                yield _value(others[of], part * new) / base


def _value(polynomial: Sequence[float], volts: float) -> float:
    value = 0.0
    for coefficient in polynomial:
        value = value * volts + coefficient
    return value
