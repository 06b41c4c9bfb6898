"""What the vector blocks share: stages that move together, rounding, clamping."""

from typing import Protocol

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream

__all__ = ["Elements", "Words", "check_lanes", "clamped", "move_together", "rounded"]


class Elements(data.StructLayout):
    """Neighbouring elements of a vector.

    Fields:
        values: Signed integers.
        last: The vector's last.
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__({"values": data.ArrayLayout(signed(bits), lanes), "last": unsigned(1)})


class Words(data.StructLayout):
    """Neighbouring elements of a vector, of a bounded width.

    Fields:
        values: Signed integers.
        saturated: A bit each: it was clamped.
        last: The vector's last.
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__(
            {
                "values": data.ArrayLayout(signed(bits), lanes),
                "saturated": unsigned(lanes),
                "last": unsigned(1),
            }
        )


def check_lanes(lanes: int) -> None:
    """Refuses lanes that are no power of two.

    Raises:
        ValueError: naming them.
    """
    if not isinstance(lanes, int) or lanes < 1 or lanes & (lanes - 1):
        raise ValueError(f"lanes must be a power of two, not {lanes!r}")


class Stages(Protocol):
    """A block of registers from a stream to another.

    Attributes:
        i, o: The streams.
        awake: An output, as `Sleeper`.
        latency: Stages.
    """

    i: stream.Interface
    o: stream.Interface
    awake: Signal
    latency: int


def move_together(
    m: Module,
    block: Stages,
    *,
    gives: Value | int = 1,
    waits: Value | int = 0,
    stirs: Value | int = 0,
) -> Signal:
    """Stages of which all move or none; they move unless the last holds a payload not taken.

    Args:
        m: The block's module.
        block: The block.
        gives: Whether what is taken becomes a payload at the output.
        waits: Nothing is taken.
        stirs: The block is awake besides, for what is not on its way from ``i`` to ``o``.

    Returns:
        Whether they move in this cycle.
    """
    advance = Signal()
    i, o = block.i, block.o
    valids = Signal(block.latency)
    m.d.comb += [
        advance.eq(~o.valid | o.ready),
        i.ready.eq(advance & ~Value.cast(waits).any()),
        o.valid.eq(valids[-1]),
        block.awake.eq(i.valid | valids.any() | Value.cast(stirs).any()),
    ]
    with m.If(advance):
        m.d.sync += valids.eq(Cat(i.valid & i.ready & gives, valids)[: block.latency])
    return advance


def rounded(value: Value, shift: int) -> Value:
    """``floor(value * 2 ** -shift + 1 / 2)``, exact where the shift is zero or less."""
    if shift <= 0:
        return value << -shift
    if shift > len(value):
        # All that is left is the sign, and the carry of a half is below it.
        return value[:0]
    return (value >> shift) + value[shift - 1]


def clamped(m: Module, value: Value, bits: int, name: str) -> tuple[Signal, Signal]:
    """The nearest signed integer of ``bits``, and whether it is another."""
    result = Signal(signed(bits), name=name)
    saturated = Signal(name=f"{name}_saturated")
    wide = Signal(Shape(max(len(value) + 1, bits + 1), signed=True), name=f"{name}_wide")
    top = wide[bits - 1 :]
    limit = (1 << bits - 1) - 1
    m.d.comb += [
        wide.eq(value),
        saturated.eq(top.any() & ~top.all()),
        result.eq(Mux(saturated, Mux(wide < 0, ~limit, limit), wide)),
    ]
    return result, saturated
