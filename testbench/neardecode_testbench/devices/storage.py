"""The port behind which a device's contents lie."""

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StorageInterface", "StoragePort"]


class StorageInterface(wiring.PureInterface):
    """The wires of a storage port; see `StoragePort`."""

    valid: Signal
    address: Signal
    data: Signal
    write: Signal
    write_data: Signal


class StoragePort(wiring.Signature):
    """Where a device keeps its contents; served by plain memory outside the RTL.

    Parameters:
        address_bits: Bits of an address, in beats.
        beat_bytes: Bytes of a beat.
        writable: The device also writes.

    Members:
        valid: Out(1). A beat is accessed in this cycle.
        address: Out(address_bits). Which beat.
        data: In(8 * beat_bytes). The beat read one cycle earlier.
        write: Out(1). With ``valid``: the beat is written, not read; the next cycle reads it back.
            Only where ``writable``.
        write_data: Out(8 * beat_bytes). What is written. Only where ``writable``.
    """

    def __init__(self, address_bits: int, beat_bytes: int, *, writable: bool = False):
        members = {"valid": Out(1), "address": Out(address_bits), "data": In(8 * beat_bytes)}
        if writable:
            members |= {"write": Out(1), "write_data": Out(8 * beat_bytes)}
        super().__init__(members)

    def create(self, *, path=None, src_loc_at=0) -> StorageInterface:
        """The wires of one port."""
        return StorageInterface(self, path=path, src_loc_at=1 + src_loc_at)
