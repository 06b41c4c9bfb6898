"""Where the errors are: the roots of the locator polynomial.

Source: R. T. Chien, "Cyclic decoding procedures for Bose-Chaudhuri-Hocquenghem codes", 1964.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.bch.code import BchCode
from neardecode.lib.bch.field import linear
from neardecode.lib.bch.key_equation import Locator, locator_layout

__all__ = ["ChienSearch", "Found", "find_errors", "patch_layout", "verdict_layout"]


def patch_layout(code: BchCode, parallel: int) -> data.StructLayout:
    """``group``: which ``parallel`` bits of the data; ``errors``: those that are wrong."""
    return data.StructLayout({"group": range(code.k // parallel), "errors": parallel})


def verdict_layout(code: BchCode) -> data.StructLayout:
    """``corrected``: wrong bits, in the parity too; ``patches``; ``uncorrectable``."""
    return data.StructLayout(
        {
            "corrected": range(code.t + 1),
            "patches": range(code.t + 1),
            "uncorrectable": 1,
        }
    )


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        positions: Of wrong bits, by rising coefficient index; data first, then parity.
        patches: Groups of data bits with errors, and their bits.
        uncorrectable: There are fewer roots than the degree asks for, or the locator had failed.
        cycles: From the locator taken to the verdict, while no patch waits.
    """

    positions: tuple[int, ...]
    patches: tuple[tuple[int, int], ...]
    uncorrectable: bool
    cycles: int


def find_errors(code: BchCode, locator: Locator, parallel: int) -> Found:
    """What `ChienSearch` of so many positions a cycle finds."""
    if locator.failed:
        return Found((), (), True, 1)
    gf = code.field
    powers = np.array(gf.powers)
    inverse = -(code.n - 1 - np.arange(code.n))
    values = np.zeros(code.n, int)
    for index, coefficient in enumerate(locator.coefficients):
        if coefficient:
            values ^= powers[(gf.logarithms[coefficient] + index * inverse) % gf.order]
    positions = np.flatnonzero(values == 0).tolist()
    groups: dict[int, int] = {}
    for position in positions:
        group, bit = divmod(position, parallel)
        groups[group] = groups.get(group, 0) | 1 << bit
    complete = len(positions) == locator.degree
    last = positions[-1] // parallel if complete else (code.n - 1) // parallel
    return Found(
        tuple(positions),
        tuple((group, bits) for group, bits in groups.items() if group < code.k // parallel),
        not complete,
        3 + last,
    )


class ChienSearch(wiring.Component):
    """Tries the positions of a codeword in their order, ``parallel`` of them a cycle.

    The search begins at the first data bit, so the positions that were shortened away are never
    tried, and ends with the group in which the last root is found. A codeword is uncorrectable when
    the locator failed, or the codeword's positions hold fewer roots than its degree.

    Latency: ``3 + g`` cycles from the locator to the verdict, g the index of the last group tried,
    at most ``longest``; one if the locator failed. Rate: one codeword a latency and one cycle more.
    Patches come on the way, in order, and all of them by the cycle of the verdict; a patch or a
    verdict that is not taken stops the search.

    Parameters:
        code: The code.
        parallel: Positions a cycle; a divisor of a data beat's bits.

    Members:
        i: ``In(stream.Signature(locator_layout(code)))``.
        patches: ``Out(stream.Signature(patch_layout(code, parallel)))``. Those of a codeword that
            turns out uncorrectable are to be dropped.
        verdicts: ``Out(stream.Signature(verdict_layout(code)))``. One a codeword.

    Raises:
        ValueError: if ``parallel`` does not divide a data beat.
    """

    i: stream.Interface
    patches: stream.Interface
    verdicts: stream.Interface

    def __init__(self, code: BchCode, parallel: int):
        if not isinstance(parallel, int) or parallel < 1 or code.data_beat_bits % parallel:
            raise ValueError(
                f"parallel must be a divisor of the {code.data_beat_bits} bits of a data beat,"
                f" not {parallel!r}"
            )
        self._code = code
        self._parallel = parallel
        super().__init__(
            {
                "i": In(stream.Signature(locator_layout(code))),
                "patches": Out(stream.Signature(patch_layout(code, parallel))),
                "verdicts": Out(stream.Signature(verdict_layout(code))),
            }
        )

    @property
    def groups(self) -> int:
        """Groups of positions in a codeword."""
        return -(-self._code.n // self._parallel)

    @property
    def longest(self) -> int:
        """Most cycles from the locator to the verdict."""
        return 2 + self.groups

    def model(self, locator: Locator) -> Found:
        """`find_errors` of this code and this parallelism."""
        return find_errors(self._code, locator, self._parallel)

    def elaborate(self, platform) -> Module:
        """The polynomial's terms, their sums at the positions of a group, and the count."""
        m = Module()
        code, gf, parallel = self._code, self._code.field, self._parallel
        bits, t, groups = code.m, code.t, self.groups

        terms = Signal(bits * (t + 1), reset_less=True)
        degree = Signal(range(t + 1), reset_less=True)
        group = Signal(range(groups + 1))
        hits = Signal(parallel, reset_less=True)
        hits_group = Signal(range(groups))
        hits_valid = Signal()
        corrected = Signal(range(t + 1))
        patch_count = Signal(range(t + 1))
        uncorrectable = Signal()

        roots = Signal(parallel)
        values = Signal(bits * parallel)
        columns = [
            sum(
                gf.multiply(gf.alpha(index * offset), 1 << bit) << bits * offset
                for offset in range(parallel)
            )
            for index in range(t + 1)
            for bit in range(bits)
        ]
        m.d.comb += [
            values.eq(linear(columns, terms, bits * parallel)),
            roots.eq(Cat(~values.word_select(offset, bits).any() for offset in range(parallel))),
        ]
        in_codeword = Signal(parallel)
        m.d.comb += in_codeword.eq(-1)
        if code.n % parallel:
            with m.If(group == groups - 1):
                m.d.comb += in_codeword.eq((1 << code.n % parallel) - 1)

        def scaled(terms: Signal, power: int) -> list:
            """Each term times alpha to its index times a power."""
            return [
                linear(gf.constant_columns(gf.alpha(index * power)), term, bits)
                for index in range(t + 1)
                for term in [terms[index * bits : (index + 1) * bits]]
            ]

        hit_count = Signal(range(parallel + 1))
        found = Signal(range(t + parallel + 1))
        is_patch = Signal()
        advance = Signal()
        coefficients = Signal(bits * (t + 1))
        m.d.comb += [
            coefficients.eq(self.i.payload.coefficients),
            hit_count.eq(sum(hits)),
            found.eq(corrected + hit_count),
            is_patch.eq(hits_valid & hits.any() & (hits_group < code.k // parallel)),
            self.patches.valid.eq(is_patch),
            self.patches.payload.group.eq(hits_group),
            self.patches.payload.errors.eq(hits),
            advance.eq(~is_patch | self.patches.ready),
            self.verdicts.payload.corrected.eq(corrected),
            self.verdicts.payload.patches.eq(patch_count),
            self.verdicts.payload.uncorrectable.eq(uncorrectable),
        ]

        with m.FSM() as fsm:
            with m.State("Idle"):
                m.d.sync += [
                    terms.eq(Cat(scaled(coefficients, -(code.n - 1)))),
                    degree.eq(self.i.payload.degree),
                    group.eq(0),
                    corrected.eq(0),
                    patch_count.eq(0),
                    uncorrectable.eq(self.i.payload.failed),
                ]
                with m.If(self.i.valid):
                    m.next = "Search"
                    with m.If(self.i.payload.failed):
                        m.next = "Done"
            with m.State("Search"), m.If(advance):
                m.d.sync += [
                    terms.eq(Cat(scaled(terms, parallel))),
                    group.eq(group + 1),
                    hits.eq(roots & in_codeword),
                    hits_group.eq(group),
                    hits_valid.eq(1),
                    patch_count.eq(patch_count + is_patch),
                ]
                with m.If(hits_valid):
                    m.d.sync += corrected.eq(found)
                    with m.If((found == degree) | (hits_group == groups - 1)):
                        m.d.sync += [uncorrectable.eq(found != degree), hits_valid.eq(0)]
                        m.next = "Done"
            with m.State("Done"), m.If(self.verdicts.ready):
                m.next = "Idle"
        # Not in the states: Icarus 11 never settles on a handshake whose two sides are.
        m.d.comb += [
            self.i.ready.eq(fsm.ongoing("Idle")),
            self.verdicts.valid.eq(fsm.ongoing("Done")),
        ]
        return m
