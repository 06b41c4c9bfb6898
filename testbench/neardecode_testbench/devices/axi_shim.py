"""A channel's whole controller behind plain AXI4, for hosts that know nothing but AXI4.

Source: AMBA AXI and ACE Protocol Specification, IHI 0022H, chapter A2, for the signals; OCP HBF
v0.7.0, tables 8 and 10, for those that the port has.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import Config
from neardecode.flash.axi import ADDRESS_BITS
from neardecode.flash.status import PacketType
from neardecode_testbench.devices.controller_bench import ControllerBench

__all__ = ["PREFIX", "AxiShim"]

PREFIX = "s_axi_"
"""What the names of the AXI4 signals begin with."""
HOST = "axi"
"""The bench's own port of a host."""
INCREMENTING = 1
"""The one kind of burst."""
USER_BITS = 9


class AxiShim(wiring.Component):
    """A `ControllerBench` whose host is on plain AXI4.

    Bursts are incrementing ones of whole beats, written whole and never exclusive; whoever asks for
    another raises ``unsupported``, and is served as if it had not. Cache, protection, quality and
    region tell the port nothing. A response keeps its two lower bits.

    An address is as the port's for flash and scratchpad. The address of an admin command holds its
    opcode, which plain AXI4 takes for a byte within a beat; here it stands above those bits, and so
    data begins in the lowest byte of a beat, where the port has it. A packet's type is told by its
    user field.

    Latency: none.

    Parameters:
        config: A configuration with ``flash.host``; one channel of it.

    Members:
        s_axi_*: The signals of AXI4, as at a subordinate.
        unsupported: Out(1). Since the reset, something was asked for that the port has not.
        requests, beats, storage, records, temperature, violated and others: As the
            `ControllerBench`'s.
    """

    unsupported: Signal

    def __init__(self, config: Config):
        host = config.flash.host
        if host is None:
            raise ValueError("config must have flash.host")
        self._flash = config.flash
        self._bench = ControllerBench(config)
        self._byte_bits = exact_log2(config.flash.beat_bytes)
        address = {
            "id": In(host.id_bits),
            "addr": In(ADDRESS_BITS + self._byte_bits),
            "len": In(8),
            "size": In(3),
            "burst": In(2),
            "lock": In(1),
            "cache": In(4),
            "prot": In(3),
            "qos": In(4),
            "region": In(4),
            "user": In(USER_BITS),
        }
        bits = 8 * config.flash.beat_bytes
        answer = {"id": Out(host.id_bits), "resp": Out(2), "user": Out(USER_BITS)}
        channels = {
            "aw": address,
            "w": {"data": In(bits), "strb": In(config.flash.beat_bytes), "last": In(1)},
            "b": answer,
            "ar": address,
            "r": {**answer, "data": Out(bits), "last": Out(1)},
        }
        members = {}
        for channel, signals in channels.items():
            ours, theirs = (Out, In) if channel in ("b", "r") else (In, Out)
            for name, member in {**signals, "valid": ours(1), "ready": theirs(1)}.items():
                members[f"{PREFIX}{channel}{name}"] = member
        rest = dict(self._bench.signature.members)
        del rest[HOST]
        self._rest = tuple(rest)
        super().__init__({**members, **rest, "unsupported": Out(1)})

    def elaborate(self, platform) -> Module:
        """Channel by channel; all else goes through."""
        m = Module()
        m.submodules.bench = bench = self._bench
        axi: Any = getattr(bench, HOST)
        wrong = Signal()

        def own(name):
            return getattr(self, f"{PREFIX}{name}")

        for name, channel in (("aw", axi.aw), ("ar", axi.ar)):
            address, user = own(f"{name}addr"), own(f"{name}user")
            admin = user[:2] == PacketType.ADMIN.value
            m.d.comb += [
                channel.valid.eq(own(f"{name}valid")),
                own(f"{name}ready").eq(channel.ready),
                channel.payload.id.eq(own(f"{name}id")),
                channel.payload.addr.eq(Mux(admin, address[self._byte_bits :], address)),
                channel.payload.len.eq(own(f"{name}len")),
                channel.payload.user.eq(user),
            ]
            with m.If(
                own(f"{name}valid")
                & (
                    (own(f"{name}size") != self._byte_bits)
                    | (own(f"{name}burst") != INCREMENTING)
                    | own(f"{name}lock")
                    | Mux(admin, address[: self._byte_bits], address[ADDRESS_BITS:]).any()
                )
            ):
                m.d.comb += wrong.eq(1)
        with m.If(own("wvalid") & ~own("wstrb").all()):
            m.d.comb += wrong.eq(1)
        with m.If(wrong):
            m.d.sync += self.unsupported.eq(1)
        m.d.comb += [
            axi.w.valid.eq(own("wvalid")),
            own("wready").eq(axi.w.ready),
            axi.w.payload.data.eq(own("wdata")),
            axi.w.payload.last.eq(own("wlast")),
        ]
        for name, channel in (("b", axi.b), ("r", axi.r)):
            m.d.comb += [
                own(f"{name}valid").eq(channel.valid),
                channel.ready.eq(own(f"{name}ready")),
                own(f"{name}id").eq(channel.payload.id),
                own(f"{name}resp").eq(channel.payload.resp[:2]),
                own(f"{name}user").eq(channel.payload.user),
            ]
        m.d.comb += [
            own("rdata").eq(axi.r.payload.data),
            own("rlast").eq(axi.r.payload.last),
        ]

        for name in self._rest:
            member = bench.signature.members[name]
            inside, outside = getattr(bench, name), getattr(self, name)
            if member.is_signature:
                connect(m, inside, flipped(outside))
            elif member.flow == Out:
                m.d.comb += outside.eq(inside)
            else:
                m.d.comb += inside.eq(outside)
        return m
