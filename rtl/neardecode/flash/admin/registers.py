"""The register file of a channel, built from its register map."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.flash.admin.register import Access, Field, Register
from neardecode.flash.status import AdminStatus

__all__ = ["RegisterAccess", "RegisterFile"]

OFFSET_BITS = 24


class RegisterAccess(data.StructLayout):
    """A read or a write of four bytes of a register.

    Fields:
        en: There is one in this cycle.
        write: It is a write.
        mmio: Of a register of table 16, not of table 15.
        offset: Byte offset.
        data: What to write.
    """

    def __init__(self):
        super().__init__(
            {
                "en": unsigned(1),
                "write": unsigned(1),
                "mmio": unsigned(1),
                "offset": unsigned(OFFSET_BITS),
                "data": unsigned(32),
            }
        )


class RegisterFile(wiring.Component):
    """Reads and writes of the registers, four bytes at a time.

    An access is refused with ``INVALID_FIELD`` if its offset is not of a register or not a
    multiple of four, or for a write if nothing there can be written; with ``UNSUPPORTED`` if it
    writes a setting with a value that it may not have. A refused write changes nothing.

    Latency: one cycle, for what is read as for what is written. Rate: one access a cycle.

    Fields are named ``register_field`` in small letters in the layouts below.

    Parameters:
        registers: The map.

    Members:
        access: In(`RegisterAccess`).
        refusal: Out(`AdminStatus`). How the last access ended.
        value: Out(32). What the last access read; zero if it was refused.
        settings: Out(struct of every ``SETTING``).
        statuses: In(struct of every ``STATUS`` and ``CLEAR``).
        actions: Out(struct of every ``CLEAR`` and ``TRIGGER``). What the last cycle's access wrote
            to it; else zero.
        written: Out(struct of a bit a register that has settings). The last cycle's access wrote
            it.

    Raises:
        ValueError: if two registers overlap, or a field does not fit where it stands.
    """

    access: data.View
    refusal: Signal
    value: Signal
    settings: data.View
    statuses: data.View
    actions: data.View
    written: data.View

    def __init__(self, registers: Sequence[Register]):
        _check(registers)
        self._registers = tuple(registers)
        super().__init__(
            {
                "access": In(RegisterAccess()),
                "refusal": Out(AdminStatus),
                "value": Out(32),
                "settings": Out(self._layout(Access.SETTING)),
                "statuses": In(self._layout(Access.STATUS, Access.CLEAR)),
                "actions": Out(self._layout(Access.CLEAR, Access.TRIGGER)),
                "written": Out(
                    data.StructLayout(
                        {
                            register.symbol.lower(): unsigned(1)
                            for register, _ in self._fields(Access.SETTING)
                        }
                    )
                ),
            }
        )

    @property
    def registers(self) -> tuple[Register, ...]:
        """The map."""
        return self._registers

    def _fields(self, *accesses: Access) -> list[tuple[Register, Field]]:
        return [
            (register, field)
            for register in self._registers
            for field in register.fields
            if field.access in accesses
        ]

    def _layout(self, *accesses: Access) -> data.StructLayout:
        return data.StructLayout(
            {
                _name(register, field): unsigned(field.width)
                for register, field in self._fields(*accesses)
            }
        )

    def elaborate(self, platform) -> Module:
        """Decode the offset once, for reading, for writing and for refusing."""
        m = Module()
        access = self.access

        settings = Signal(
            self._layout(Access.SETTING),
            init={
                _name(register, field): field.reset
                for register, field in self._fields(Access.SETTING)
            },
        )
        m.d.comb += self.settings.eq(settings)

        m.d.sync += [self.actions.eq(0), self.written.eq(0)]
        with m.If(access.en):
            m.d.sync += [self.value.eq(0), self.refusal.eq(AdminStatus.INVALID_FIELD)]
            with m.Switch(Cat(access.offset, access.mmio)):
                empty: list[int] = []
                for register in self._registers:
                    for first in range(0, 8 * register.size, 32):
                        place = (register.offset + first // 8) | register.mmio << OFFSET_BITS
                        fields = [
                            field
                            for field in register.fields
                            if field.low < first + 32 and first < field.low + field.width
                        ]
                        if not fields:
                            empty.append(place)
                            continue
                        with m.Case(place):
                            self._access(m, register, fields, first, settings)
                if empty:
                    with m.Case(*empty), m.If(~access.write):
                        m.d.sync += self.refusal.eq(AdminStatus.OK)

        return m

    def _access(
        self, m: Module, register: Register, fields: list[Field], first: int, settings: data.View
    ) -> None:
        """What an access to a dword with fields does."""
        with m.If(~self.access.write):
            m.d.sync += [
                self.refusal.eq(AdminStatus.OK),
                self.value.eq(self._read(register, fields, first)),
            ]
        fields = [f for f in fields if f.access not in (Access.CONSTANT, Access.STATUS)]
        if not fields:
            return
        news = [self.access.data[f.low - first : f.low - first + f.width] for f in fields]
        legal = reduce(
            and_,
            (
                reduce(or_, (new == value for value in field.legal))
                for field, new in zip(fields, news, strict=True)
                if field.legal
            ),
            Const(1),
        )
        with m.Elif(~legal):
            m.d.sync += self.refusal.eq(AdminStatus.UNSUPPORTED)
        with m.Else():
            m.d.sync += self.refusal.eq(AdminStatus.OK)
            for field, new in zip(fields, news, strict=True):
                name = _name(register, field)
                if field.access is Access.SETTING:
                    m.d.sync += settings[name].eq(new)
                    m.d.sync += self.written[register.symbol.lower()].eq(1)
                else:
                    m.d.sync += self.actions[name].eq(new)

    def _read(self, register: Register, fields: list[Field], first: int) -> Value:
        """A dword, from its fields."""
        parts: list[Value] = []
        for field in fields:
            name = _name(register, field)
            if field.access is Access.CONSTANT:
                whole: Value = Const(field.reset, field.width)
            elif field.access is Access.SETTING:
                whole = self.settings[name]
            elif field.access is Access.TRIGGER:
                continue
            else:
                whole = self.statuses[name]
            below = max(0, first - field.low)
            part = whole[below : below + 32]
            parts.append(Cat(Const(0, max(0, field.low - first)), part))
        return reduce(or_, parts, Const(0, 32))[:32]


def _name(register: Register, field: Field) -> str:
    return f"{register.symbol}_{field.name}".lower()


def _check(registers: Sequence[Register]) -> None:
    dwords: dict[tuple[bool, int], str] = {}
    for register in registers:
        if register.offset % 4 or register.size % 4:
            raise ValueError(f"{register.symbol} must begin and end with a dword")
        for offset in range(register.offset, register.offset + register.size, 4):
            other = dwords.setdefault((register.mmio, offset), register.symbol)
            if other != register.symbol:
                raise ValueError(f"{register.symbol} must not overlap {other}")
        bits = 0
        for field in register.fields:
            mask = (1 << field.width) - 1 << field.low
            if mask & bits or mask >> 8 * register.size:
                raise ValueError(f"{register.symbol}.{field.name} must have bits of its own")
            bits |= mask
            if (
                field.access is not Access.CONSTANT
                and field.low // 32 != (field.low + field.width - 1) // 32
            ):
                raise ValueError(f"{register.symbol}.{field.name} must lie in one dword")
            if field.reset >> field.width:
                raise ValueError(f"{register.symbol}.{field.name} must hold its reset value")
