"""Fields to raw bits and back, by a layout's own offsets."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

__all__ = ["Packer"]


class Packer:
    """Packs and unpacks the payloads of one stream.

    Args:
        layout: The payload's layout. Nested fields are named with dots (``command.base``);
            arrays of scalars take a sequence, and their elements have names too (``values.0``).
    """

    def __init__(self, layout: data.Layout):
        self._places: dict[str, tuple[int, int, bool]] = {}
        self._arrays: dict[str, tuple[int, int, int]] = {}
        self._add("", layout, 0)
        self.bits = Shape.cast(layout).width

    def _add(self, prefix: str, layout: data.Layout, base: int) -> None:
        for key, field in layout:
            name, offset = f"{prefix}{key}", base + field.offset
            shape: Any = field.shape
            cast = Shape.cast(shape)
            self._places[name] = (offset, cast.width, cast.signed)
            if isinstance(shape, data.ArrayLayout) and not isinstance(
                shape.elem_shape, data.Layout
            ):
                element = Shape.cast(shape.elem_shape)
                self._arrays[name] = (offset, element.width, shape.length)
                for index in range(shape.length):
                    place = offset + index * element.width
                    self._places[f"{name}.{index}"] = (place, element.width, element.signed)
            elif isinstance(shape, data.ArrayLayout | data.StructLayout):
                self._add(f"{name}.", shape, offset)

    def pack(self, fields: Mapping[str, Any]) -> int:
        """The raw bits of a payload; fields left out are zero.

        Raises:
            ValueError: if a value does not fit its field.
        """
        bits = 0
        for name, value in fields.items():
            if name in self._arrays:
                offset, width, _ = self._arrays[name]
                for index, element in enumerate(value):
                    bits |= (int(element) & ((1 << width) - 1)) << (offset + index * width)
                continue
            offset, width, signed = self._places[name]
            value = int(value)
            low, high = (-(1 << width - 1), (1 << width - 1)) if signed else (0, 1 << width)
            if not low <= value < high:
                raise ValueError(f"{name} must be from {low} to {high - 1}, not {value}")
            bits |= (value & ((1 << width) - 1)) << offset
        return bits

    def field(self, bits: int, name: str) -> int:
        """One field of a payload."""
        offset, width, signed = self._places[name]
        value = (bits >> offset) & ((1 << width) - 1)
        return value - (1 << width) if signed and value >> (width - 1) else value

    def mask(self, *names: str) -> int:
        """The raw bits that belong to fields."""
        bits = 0
        for name in names:
            offset, width, _ = self._places[name]
            bits |= ((1 << width) - 1) << offset
        return bits
