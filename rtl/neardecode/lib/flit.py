"""The unit that the fabric carries."""

from amaranth.lib import data, enum
from amaranth.utils import ceil_log2

__all__ = ["FlitKind", "FlitLayout", "HeaderLayout"]


class FlitKind(enum.Enum, shape=4):
    """What a packet means to its receiver."""

    RESULT = 0
    """A row's unrounded sum, from the slice that computed it."""
    REDUCTION = 1
    """Words of an all-reduce, summed on their way."""


class HeaderLayout(data.StructLayout):
    """The lowest bits of a packet's first flit.

    Fields, from bit 0: ``port`` (a bit for each port of a router), ``destination`` and
    ``source`` (addresses), ``kind`` (`FlitKind`). A router writes ``port`` when a packet arrives:
    the output that it will leave by. What a sender puts there means nothing.

    Parameters:
        addresses: Addressable ends of the fabric, and gaps between them.
        ports: Ports of a router.

    Raises:
        ValueError: if a parameter is not a positive integer.
    """

    def __init__(self, addresses: int, ports: int):
        for name, number in (("addresses", addresses), ("ports", ports)):
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be a positive integer, not {number!r}")
        bits = ceil_log2(addresses)
        super().__init__({"port": ports, "destination": bits, "source": bits, "kind": FlitKind})


class FlitLayout(data.StructLayout):
    """A flit: a word, and whether its packet ends with it.

    A packet is one flit or more, the last with ``tail``; the flit behind a tail is the first of
    the next packet, and its word begins with a header. Nothing else travels beside the words, for
    a bit beside them would be paid for in every entry of every buffer. Packets of one virtual
    channel never mix on a link; order holds among those of one source, destination and virtual
    channel.

    Fields, from bit 0: ``word``, ``tail``.

    Parameters:
        word_bits: Bits of a word.
        addresses: Addressable ends of the fabric, and gaps between them.
        ports: Ports of a router.

    Raises:
        ValueError: if a parameter is not a positive integer, or a word does not hold a header.
    """

    def __init__(self, word_bits: int = 64, addresses: int = 2, ports: int = 2):
        if not isinstance(word_bits, int) or word_bits < 1:
            raise ValueError(f"word_bits must be a positive integer, not {word_bits!r}")
        self._header = HeaderLayout(addresses, ports)
        if word_bits < self._header.size:
            raise ValueError(
                f"word_bits must hold a header of {self._header.size} bits, not {word_bits!r}"
            )
        self._word_bits = word_bits
        self._addresses = addresses
        self._ports = ports
        super().__init__({"word": word_bits, "tail": 1})

    @classmethod
    def for_payload(cls, payload_bits: int, addresses: int, ports: int) -> "FlitLayout":
        """The layout whose first flit carries a payload of ``payload_bits`` beside its header."""
        return cls(payload_bits + HeaderLayout(addresses, ports).size, addresses, ports)

    @property
    def word_bits(self) -> int:
        """Bits of a word."""
        return self._word_bits

    @property
    def addresses(self) -> int:
        """Addressable ends of the fabric, and gaps between them."""
        return self._addresses

    @property
    def ports(self) -> int:
        """Ports of a router."""
        return self._ports

    @property
    def header(self) -> HeaderLayout:
        """The lowest bits of a packet's first word."""
        return self._header

    @property
    def payload_bits(self) -> int:
        """Bits of a packet's first word above its header."""
        return self._word_bits - self._header.size

    @property
    def first(self) -> data.StructLayout:
        """The same bits in a packet's first flit: ``header``, ``payload``, ``tail``."""
        return data.StructLayout({"header": self._header, "payload": self.payload_bits, "tail": 1})
