"""RoPE by sines and cosines that come out of memory."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Config
from neardecode.config.vector import TURN_BITS
from neardecode.lib.once import once
from neardecode.vector.stages import Words, check_lanes, clamped, move_together, rounded

__all__ = ["Pairs", "Rotation"]


class Pairs(data.StructLayout):
    """Neighbouring elements of a head, two of which make a pair, and how far each pair turns.

    Fields:
        values: Words.
        cosines, sines: A pair each, times the table's scale.
        key: The table is that of keys, with ``key_turn_fraction_bits``; else that of queries.
        last: The vector's last.
    """

    def __init__(self, config: Config, lanes: int):
        turn = data.ArrayLayout(signed(TURN_BITS), lanes // 2)
        super().__init__(
            {
                "values": data.ArrayLayout(signed(config.vector.word_bits), lanes),
                "cosines": turn,
                "sines": turn,
                "key": unsigned(1),
                "last": unsigned(1),
            }
        )


@once
class TurnedPair(wiring.Component):
    """Turns a pair of elements: four products, then two sums.

    Latency: 2 cycles in which it advances.

    Parameters:
        config, key_fraction_bits, query_fraction_bits: As `Rotation`.

    Members:
        advance: In(1). Its registers take what is before them.
        given: In(a pair of words).
        cosine, sine: In. Of its turn.
        key: In(1). The products in the registers are of keys.
        values: Out(a pair of words).
        saturated: Out(2). A bit each: it was clamped.
    """

    advance: Signal
    given: data.View
    cosine: Signal
    sine: Signal
    key: Signal
    values: data.View
    saturated: Signal

    def __init__(self, config: Config, key_fraction_bits: int, query_fraction_bits: int):
        self._bits = config.vector.word_bits
        self._key_fraction_bits = key_fraction_bits
        self._query_fraction_bits = query_fraction_bits
        pair = data.ArrayLayout(signed(self._bits), 2)
        super().__init__(
            {
                "advance": In(1),
                "given": In(pair),
                "cosine": In(signed(TURN_BITS)),
                "sine": In(signed(TURN_BITS)),
                "key": In(1),
                "values": Out(pair),
                "saturated": Out(2),
            }
        )

    def elaborate(self, platform) -> Module:
        """Products, sums."""
        m = Module()
        even, odd = self.given
        factors = ((even, self.cosine), (odd, self.sine), (even, self.sine), (odd, self.cosine))
        bits = self._bits
        products = [
            Signal(signed(bits + TURN_BITS), name=f"product_{number}")
            for number in range(len(factors))
        ]
        with m.If(self.advance):
            m.d.sync += [
                product.eq(a * b) for product, (a, b) in zip(products, factors, strict=True)
            ]
        sums = (products[0] - products[1], products[2] + products[3])
        for half, exact in enumerate(sums):
            chosen = Signal(signed(bits + TURN_BITS + 2), name=f"turned_{half}")
            with m.If(self.key):
                m.d.comb += chosen.eq(rounded(exact, self._key_fraction_bits))
            with m.Else():
                m.d.comb += chosen.eq(rounded(exact, self._query_fraction_bits))
            word, saturated = clamped(m, chosen, bits, f"word_{half}")
            with m.If(self.advance):
                m.d.sync += [self.values[half].eq(word), self.saturated[half].eq(saturated)]
        return m


class Rotation(wiring.Component):
    """Turn pairs: two products each, added, rounded to a word, a half upwards, and clamped.

    The compiler makes the tables: keys' with a scale of one, queries' with log2(e) / sqrt(head
    size), by which scores become powers of two. A recurrence over positions would need the same
    multipliers and lose a little at each position; a table's error is the same at all of them.

    Latency: 2. Rate: ``lanes`` elements a cycle; a result that is not taken holds the block.

    Parameters:
        config: A configuration.
        key_fraction_bits, query_fraction_bits: Of the two tables.
        lanes: Elements a transfer, a power of two of at least 2.

    Members:
        i: In(stream of `Pairs`).
        o: Out(stream of `Words`).
        awake: Out(1). As `Sleeper`.

    Raises:
        ValueError: if ``lanes`` is not a power of two of at least 2, or fraction bits are not 1
            to 30.
    """

    latency = 2
    """Cycles from ``i`` to ``o``."""

    i: stream.Interface
    o: stream.Interface
    awake: Signal

    def __init__(
        self, config: Config, key_fraction_bits: int, query_fraction_bits: int, lanes: int = 2
    ):
        check_lanes(lanes)
        if lanes < 2:
            raise ValueError(f"lanes must be at least 2, not {lanes!r}")
        for name, bits in (
            ("key_fraction_bits", key_fraction_bits),
            ("query_fraction_bits", query_fraction_bits),
        ):
            if not isinstance(bits, int) or not 1 <= bits <= 30:
                raise ValueError(f"{name} must be 1 to 30, not {bits!r}")
        self._config = config
        self._key_fraction_bits = key_fraction_bits
        self._query_fraction_bits = query_fraction_bits
        self._lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(Pairs(config, lanes))),
                "o": Out(stream.Signature(Words(config.vector.word_bits, lanes))),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A pair beside the other."""
        m = Module()
        advance = move_together(m, self)
        given, result = self.i.payload, self.o.payload
        key, last, ended = Signal(), Signal(), Signal()
        m.d.comb += result.last.eq(ended)
        for pair in range(self._lanes // 2):
            both = slice(2 * pair, 2 * pair + 2)
            m.submodules[f"pair_{pair}"] = turned = TurnedPair(
                self._config, self._key_fraction_bits, self._query_fraction_bits
            )
            m.d.comb += [
                turned.advance.eq(advance),
                turned.key.eq(key),
                turned.cosine.eq(given.cosines[pair]),
                turned.sine.eq(given.sines[pair]),
                result.saturated[both].eq(turned.saturated),
            ]
            for half, lane in enumerate(range(self._lanes)[both]):
                m.d.comb += [
                    turned.given[half].eq(given.values[lane]),
                    result.values[lane].eq(turned.values[half]),
                ]
        with m.If(advance):
            m.d.sync += [key.eq(given.key), last.eq(given.last), ended.eq(last)]
        return m
