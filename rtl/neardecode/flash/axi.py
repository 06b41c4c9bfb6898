"""The host's AXI port of a channel.

Source: OCP HBF v0.7.0, tables 8 and 10: the subset of AXI4 without size, burst, lock, cache, prot,
qos, region and strobe signals. Addresses count bytes.
"""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Host
from neardecode.flash.status import PacketType

__all__ = [
    "ADDRESS_BITS",
    "Answer",
    "AxiAddress",
    "AxiPort",
    "AxiPortInterface",
    "AxiReadBeat",
    "AxiResponse",
    "AxiWriteBeat",
    "axi_response",
]

ADDRESS_BITS = 36
"""Bits of an address."""


class Answer(data.StructLayout):
    """A user field of an answer.

    Fields:
        type: What the command was for.
        status: A `ReadStatus`, `WriteStatus` or `AdminStatus`.
        info: Error information.
    """

    def __init__(self):
        super().__init__({"type": PacketType, "status": unsigned(4), "info": unsigned(3)})


class AxiAddress(data.StructLayout):
    """A command, for reading or writing.

    Fields:
        id, addr, user: As in table 8.
        len: Beats less one.
    """

    def __init__(self, host: Host):
        super().__init__(
            {
                "id": unsigned(host.id_bits),
                "addr": unsigned(ADDRESS_BITS),
                "len": unsigned(8),
                "user": unsigned(9),
            }
        )


class AxiWriteBeat(data.StructLayout):
    """A beat of data from the host.

    Fields:
        data, last: As in AXI.
    """

    def __init__(self, beat_bytes: int):
        super().__init__({"data": unsigned(8 * beat_bytes), "last": unsigned(1)})


class AxiResponse(data.StructLayout):
    """The answer to a write.

    Fields:
        id: The command's.
        resp: See `axi_response`.
        user: An `Answer`.
    """

    def __init__(self, host: Host):
        super().__init__({"id": unsigned(host.id_bits), "resp": unsigned(3), "user": Answer()})


class AxiReadBeat(data.StructLayout):
    """A beat of the answer to a read.

    Fields:
        id, data, last: As in AXI; the data is zero where the status tells of an error.
        resp: See `axi_response`.
        user: An `Answer`, the same in all beats of a command.
    """

    def __init__(self, host: Host, beat_bytes: int):
        super().__init__(
            {
                "id": unsigned(host.id_bits),
                "data": unsigned(8 * beat_bytes),
                "resp": unsigned(3),
                "last": unsigned(1),
                "user": Answer(),
            }
        )


class AxiPortInterface(wiring.PureInterface):
    """The wires of a host port; see `AxiPort`."""

    ar: stream.Interface
    aw: stream.Interface
    w: stream.Interface
    b: stream.Interface
    r: stream.Interface
    irq: Signal


class AxiPort(wiring.Signature):
    """The port, seen from the host.

    Members:
        ar, aw: Out(stream of `AxiAddress`).
        w: Out(stream of `AxiWriteBeat`). Data in the order of the write commands.
        b: In(stream of `AxiResponse`).
        r: In(stream of `AxiReadBeat`). Beats of different commands are not mixed.
        irq: In(1).
    """

    def __init__(self, host: Host, beat_bytes: int):
        super().__init__(
            {
                "ar": Out(stream.Signature(AxiAddress(host))),
                "aw": Out(stream.Signature(AxiAddress(host))),
                "w": Out(stream.Signature(AxiWriteBeat(beat_bytes))),
                "b": In(stream.Signature(AxiResponse(host))),
                "r": In(stream.Signature(AxiReadBeat(host, beat_bytes))),
                "irq": In(1),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> AxiPortInterface:
        """The wires of one port."""
        return AxiPortInterface(self, path=path, src_loc_at=1 + src_loc_at)


def axi_response(user):
    """AXI's own response to a user field: OKAY, DECERR for an invalid address, else SLVERR.

    Status 5 of a read comes with valid data, and so with OKAY; a write has no status 5 that is not
    an error, which its caller has to know.
    """
    return (user.status != 0) << 1 | (user.status == 1)
