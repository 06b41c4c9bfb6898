"""The error locator polynomial of a codeword's syndromes.

Source: E. Berlekamp, "Algebraic Coding Theory", section 7.4, in the form without inversion; for
binary codes every second discrepancy is zero, so t steps of two do (Lin and Costello, section 6.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.field import linear, xor_tree
from neardecode.lib.bch.syndromes import syndromes_layout

__all__ = ["KeyEquation", "Locator", "find_locator", "locator_layout"]


def locator_layout(code: BchCode) -> data.StructLayout:
    """``coefficients`` of x^0 to x^t; ``degree``; ``failed``: more than t errors."""
    return data.StructLayout(
        {
            "coefficients": data.ArrayLayout(code.m, code.t + 1),
            "degree": range(code.t + 1),
            "failed": 1,
        }
    )


@dataclass(frozen=True)
class Locator:
    """An error locator polynomial.

    Attributes:
        coefficients: Of x^0 to x^t; only their ratios mean something.
        degree: What the polynomial's degree has to be; the number of errors.
        failed: There are more than t errors, and the rest means nothing.
        cycles: From the syndromes taken to this at the output.
    """

    coefficients: tuple[int, ...]
    degree: int
    failed: bool
    cycles: int


def find_locator(code: BchCode, odd: Sequence[int], lanes: int) -> Locator:
    """The locator of the odd syndromes, by `KeyEquation` of so many lanes."""
    gf, t = code.field, code.t
    multiply = gf.multiply
    syndromes = [0] * (2 * t + 1)
    for power in range(1, 2 * t + 1):
        half = syndromes[power // 2]
        syndromes[power] = odd[power // 2] if power & 1 else multiply(half, half)
    locator = [1] + [0] * t
    correction = [0, 1] + [0] * (t - 1)
    scale, degree, cycles = 1, 0, 1
    for r in range(t):
        discrepancy = 0
        for i in range(min(degree, 2 * r) + 1):
            discrepancy ^= multiply(locator[i], syndromes[2 * r + 1 - i])
        updated = [
            multiply(scale, a) ^ multiply(discrepancy, b)
            for a, b in zip(locator, correction, strict=True)
        ]
        if discrepancy and degree <= r:
            if 2 * r + 1 - degree > t:
                return Locator((0,) * (t + 1), 0, True, cycles + 2)
            correction, scale, degree = locator, discrepancy, 2 * r + 1 - degree
        locator = updated
        correction = [0, 0, *correction[: t - 1]]
        cycles += 2 + degree // lanes
    return Locator(tuple(locator), degree, False, cycles)


class KeyEquation(wiring.Component):
    """Berlekamp-Massey in t iterations of few coefficients a cycle.

    An iteration updates ``lanes`` coefficients of the locator a cycle and sums the next
    discrepancy on the way: three multipliers a lane. It goes no further than the polynomial has
    grown, so few errors take few cycles.

    Latency, with L(r) the degree after iteration r, which for almost all errors grows by one a step
    until it is their number:

        1 + sum over r in 0 .. t - 1 of (2 + L(r) // lanes)

    cycles from syndromes to locator, at most ``longest``; an iteration after which the degree would
    exceed t fails in its second cycle and ends it. Rate: one codeword a latency and one cycle more.
    Under backpressure it holds its result, and takes no syndromes.

    Parameters:
        code: The code.
        lanes: Coefficients a cycle, a power of two.

    Members:
        i: ``In(stream.Signature(syndromes_layout(code)))``.
        o: ``Out(stream.Signature(locator_layout(code)))``.

    Raises:
        ValueError: if ``lanes`` is not a power of two.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, code: BchCode, lanes: int):
        if not isinstance(lanes, int) or lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two, not {lanes!r}")
        self._code = code
        self._lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(syndromes_layout(code))),
                "o": Out(stream.Signature(locator_layout(code))),
            }
        )

    @property
    def longest(self) -> int:
        """Most cycles from syndromes to locator."""
        t, lanes = self._code.t, self._lanes
        return 1 + t * (2 + t // lanes)

    def model(self, odd: Sequence[int]) -> Locator:
        """`find_locator` of this code and these lanes."""
        return find_locator(self._code, odd, self._lanes)

    def elaborate(self, platform) -> Module:
        """Three polynomials in registers, a window of lanes moving over them."""
        m = Module()
        code, gf, lanes = self._code, self._code.field, self._lanes
        bits, t = code.m, code.t
        words = t // lanes + 1
        size = words * lanes

        waiting = Signal(bits * t, reset_less=True)
        # Coefficient i beside syndrome S_(2r + 1 - i), then S_(2r + 3 - i).
        reversed_syndromes = Signal(bits * size, reset_less=True)
        locator = Signal(bits * size, reset_less=True)
        # What is scaled by the discrepancy: x times the locator before its last change of degree.
        correction = Signal(bits * size, reset_less=True)
        scale = Signal(bits, reset_less=True)
        discrepancy = Signal(bits, reset_less=True)
        partial = Signal(bits, reset_less=True)
        degree = Signal(range(t + 1))
        iteration = Signal(range(t))
        word = Signal(range(words))
        failed = Signal()

        window = {}
        for name, polynomial in (
            ("locator", locator),
            ("correction", correction),
            ("syndrome", reversed_syndromes),
        ):
            window[name] = Signal(bits * lanes, name=f"{name}_window")
            m.d.comb += window[name].eq(polynomial.word_select(word, bits * lanes))

        updated, left, right, products = [], [], [], []
        for lane in range(lanes):
            place = slice(lane * bits, (lane + 1) * bits)
            grown = gf.product(m, scale, window["locator"][place], f"scaled_{lane}")
            corrected = gf.product(m, discrepancy, window["correction"][place], f"fixed_{lane}")
            updated.append(grown ^ corrected)
            a = Signal(bits, name=f"coefficient_{lane}", reset_less=True)
            b = Signal(bits, name=f"syndrome_{lane}", reset_less=True)
            left.append(a)
            right.append(b)
            products.append(gf.product(m, a, b, f"product_{lane}"))
        summed = xor_tree(products)

        grown_degree = Signal(range(2 * t))
        changes = Signal()
        degree_after = Signal(range(2 * t))
        last_word = Signal(range(2 * t))
        m.d.comb += [
            grown_degree.eq((iteration << 1) + 1 - degree),
            changes.eq(discrepancy.any() & (degree <= iteration)),
            degree_after.eq(Mux(changes, grown_degree, degree)),
            last_word.eq(degree_after >> ceil_log2(lanes)),
        ]

        even, half = Signal(bits), Signal(bits)
        m.d.comb += [
            half.eq(reversed_syndromes.word_select(iteration, bits)),
            even.eq(linear(gf.square_columns(), half, bits)),
        ]

        with m.FSM() as fsm:
            with m.State("Idle"):
                odd = Signal(bits * t)
                m.d.comb += odd.eq(self.i.payload.odd)
                m.d.sync += [
                    waiting.eq(odd >> bits),
                    reversed_syndromes.eq(odd[:bits]),
                    locator.eq(1),
                    correction.eq(1 << bits),
                    scale.eq(1),
                    partial.eq(odd[:bits]),
                    *(a.eq(0) for a in left),
                    degree.eq(0),
                    iteration.eq(0),
                    failed.eq(0),
                ]
                with m.If(self.i.valid):
                    m.next = "Step"
            with m.State("Step"):
                m.d.sync += [
                    discrepancy.eq(partial ^ summed),
                    partial.eq(0),
                    *(a.eq(0) for a in left),
                    waiting.eq(waiting >> bits),
                    reversed_syndromes.eq(Cat(waiting[:bits], even, reversed_syndromes)),
                    word.eq(0),
                ]
                with m.If(iteration != 0):
                    m.d.sync += correction.eq(correction << 2 * bits)
                m.next = "Update"
            with m.State("Update"):
                place = locator.word_select(word, bits * lanes)
                m.d.sync += [
                    place.eq(Cat(updated)),
                    *(a.eq(new) for a, new in zip(left, updated, strict=True)),
                    Cat(right).eq(window["syndrome"]),
                    partial.eq(partial ^ summed),
                    word.eq(word + 1),
                ]
                with m.If(changes):
                    m.d.sync += correction.word_select(word, bits * lanes).eq(window["locator"])
                with m.If(degree_after > t):
                    m.d.sync += failed.eq(1)
                    m.next = "Done"
                with m.Elif(word == last_word):
                    m.d.sync += [degree.eq(degree_after), iteration.eq(iteration + 1)]
                    with m.If(changes):
                        m.d.sync += scale.eq(discrepancy)
                    with m.If(iteration == t - 1):
                        m.next = "Done"
                    with m.Else():
                        m.next = "Step"
            with m.State("Done"), m.If(self.o.ready):
                m.next = "Idle"

        # Not in the states: Icarus 11 never settles on a handshake whose two sides are.
        m.d.comb += [
            self.i.ready.eq(fsm.ongoing("Idle")),
            self.o.valid.eq(fsm.ongoing("Done")),
            self.o.payload.coefficients.eq(locator),
            self.o.payload.degree.eq(degree),
            self.o.payload.failed.eq(failed),
        ]
        return m
