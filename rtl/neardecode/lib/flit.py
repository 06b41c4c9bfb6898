"""The unit that the fabric carries."""

from amaranth.lib import data, enum

__all__ = ["FlitKind", "FlitLayout", "TrafficClass"]


class TrafficClass(enum.Enum, shape=1):
    """What a flit's delay costs."""

    TOKEN = 0
    """On the path of a token: its delay is the token's."""
    BULK = 1
    """Not on the path of a token: page copies, loading."""


class FlitKind(enum.Enum, shape=4):
    """What a flit's payload means to its receiver."""

    RESULT = 0
    """A row's unrounded sum, from the slice that computed it."""
    REDUCTION = 1
    """A word of an all-reduce, summed on its way."""


class FlitLayout(data.StructLayout):
    """A flit: routing, framing and payload.

    A packet is one flit with both ``head`` and ``tail``, or a ``head``, any number of flits with
    neither, and a ``tail``, all with the same routing fields. Order holds among the flits of one
    source, destination and virtual channel.

    Fields, from bit 0: ``vc`` (range of virtual channels), ``traffic_class`` (`TrafficClass`),
    ``source`` and ``destination`` (ranges of endpoints), ``kind`` (`FlitKind`), ``head``,
    ``tail``, ``payload``.

    Parameters:
        payload_bits: Bits of payload; one reduction word.
        endpoints: Addressable ends of the fabric.
        virtual_channels: Virtual channels of a link.

    Raises:
        ValueError: if a parameter is not a positive integer.
    """

    def __init__(self, payload_bits: int = 64, endpoints: int = 2, virtual_channels: int = 1):
        if not isinstance(payload_bits, int) or payload_bits < 1:
            raise ValueError(f"payload_bits must be a positive integer, not {payload_bits!r}")
        if not isinstance(endpoints, int) or endpoints < 1:
            raise ValueError(f"endpoints must be a positive integer, not {endpoints!r}")
        if not isinstance(virtual_channels, int) or virtual_channels < 1:
            raise ValueError(
                f"virtual_channels must be a positive integer, not {virtual_channels!r}"
            )
        self._payload_bits = payload_bits
        self._endpoints = endpoints
        self._virtual_channels = virtual_channels
        super().__init__(
            {
                "vc": range(virtual_channels),
                "traffic_class": TrafficClass,
                "source": range(endpoints),
                "destination": range(endpoints),
                "kind": FlitKind,
                "head": 1,
                "tail": 1,
                "payload": payload_bits,
            }
        )

    @property
    def payload_bits(self) -> int:
        """Bits of payload."""
        return self._payload_bits

    @property
    def endpoints(self) -> int:
        """Addressable ends of the fabric."""
        return self._endpoints

    @property
    def virtual_channels(self) -> int:
        """Virtual channels of a link."""
        return self._virtual_channels
