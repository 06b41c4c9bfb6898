"""The KV heads and their vaults: who gets which command, and whose blocks come.

KV head h has its keys and values in vault ``h % vaults``, as that vault's head ``h // vaults``.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.attention.attended import AttendedBlock
from neardecode.attention.layouts import AttentionCommand
from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode.decoder.activations import PlacedBlock
from neardecode.lib.arbiter import RoundRobin

__all__ = ["AttendJob", "HeadCommands", "HeadOrder", "HeadsDone"]


class HeadOrder(wiring.Component):
    """Counts KV heads: which vault has the next.

    Members:
        begin: In(1). The next is head 0.
        step: In(1). The next is the one after it.
        vault: Out.
    """

    begin: Signal
    step: Signal
    vault: Signal

    def __init__(self, vaults: int):
        self._vaults = vaults
        super().__init__(
            {
                "begin": In(1),
                "step": In(1),
                "vault": Out(range(vaults)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Round and round."""
        m = Module()
        last = self.vault == self._vaults - 1
        with m.If(self.begin):
            m.d.sync += self.vault.eq(0)
        with m.Elif(self.step):
            m.d.sync += self.vault.eq(Mux(last, 0, self.vault + 1))
        return m


class AttendJob(data.StructLayout):
    """Every KV head of a layer attends.

    Fields:
        page: The first page of the first head's keys.
        stride: Pages from keys to values, and from them to the vault's next head's keys.
        heads: KV heads.
        rows: Tokens so far.
    """

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        super().__init__(
            {
                "page": unsigned(exact_log2(stack.pages)),
                "stride": 16,
                "heads": 8,
                "rows": unsigned(config.compute.row_bits + 1),
            }
        )


class HeadCommands(wiring.Component):
    """Gives each head's command to its vault. Rate: a command in two cycles.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        jobs: In(stream of `AttendJob`).
        commands: Out(stream of `AttentionCommand`), a vault each.
        busy: Out(1). Commands are still to be given.
    """

    jobs: stream.Interface
    commands: Sequence
    busy: Signal

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        self._vaults = stack.vaults
        self._config = config
        command = AttentionCommand(config, exact_log2(stack.pages))
        super().__init__(
            {
                "jobs": In(stream.Signature(AttendJob(config))),
                "commands": Out(stream.Signature(command)).array(self._vaults),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The head in turn, and the page of its keys."""
        m = Module()
        m.submodules.order = order = HeadOrder(self._vaults)
        job = Signal.like(self.jobs.payload)
        page = Signal.like(job.page)
        left = Signal(8)
        given = Signal()
        m.d.comb += [
            self.busy.eq(left != 0),
            self.jobs.ready.eq(~self.busy),
            order.begin.eq(self.jobs.valid & self.jobs.ready),
            order.step.eq(given),
        ]
        for vault in range(self._vaults):
            command = self.commands[vault].payload
            mine = self.busy & (order.vault == vault)
            m.d.comb += [
                self.commands[vault].valid.eq(mine),
                command.keys.eq(page),
                command.values.eq(page + job.stride),
                command.rows.eq(job.rows),
                command.appended.eq(1),
            ]
            with m.If(mine & self.commands[vault].ready):
                m.d.comb += given.eq(1)
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [
                job.eq(self.jobs.payload),
                page.eq(self.jobs.payload.page),
                left.eq(self.jobs.payload.heads),
            ]
        with m.Elif(given):
            m.d.sync += left.eq(left - 1)
            with m.If(order.vault == self._vaults - 1):
                m.d.sync += page.eq(page + (job.stride << 1))
        return m


class HeadsDone(wiring.Component):
    """Gives what the heads of all vaults attended to their places among the activations.

    Heads of the next sequence come behind a vault's last of one.

    Parameters:
        config: A configuration with a decoder, of slices that attend.

    Members:
        begin: In(1). The next blocks are of each vault's first head, of the first sequence.
        heads: In(8). KV heads of a sequence, constant until the next ``begin``.
        attended: In(stream of `AttendedBlock`), a vault each.
        blocks: Out(stream of `PlacedBlock`). Always taken.
    """

    begin: Signal
    heads: Signal
    attended: Sequence
    blocks: stream.Interface

    def __init__(self, config: Config):
        stack = config.stack
        assert stack is not None
        self._vaults, self._config = stack.vaults, config
        super().__init__(
            {
                "begin": In(1),
                "heads": In(8),
                "attended": In(stream.Signature(AttendedBlock(config))).array(self._vaults),
                "blocks": Out(stream.Signature(PlacedBlock(config), always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        """One vault in a cycle; each counts its heads."""
        m = Module()
        compute = self._config.compute
        parts = compute.head_elements // BLOCK_ELEMENTS
        m.submodules.turn = turn = RoundRobin(self._vaults)
        m.d.comb += [turn.advance.eq(1), self.blocks.valid.eq(turn.requests.any())]
        placed = self.blocks.payload
        for vault, given in enumerate(self.attended):
            # The vault's next KV head, and where its first query head begins.
            head = Signal(8, name=f"head_{vault}")
            first = Signal.like(placed.place, name=f"first_{vault}")
            sequence = Signal.like(placed.sequence, name=f"sequence_{vault}")
            begins, block = vault * compute.vectors * parts, given.payload
            m.d.comb += [turn.requests[vault].eq(given.valid), given.ready.eq(turn.grants[vault])]
            with m.If(turn.grants[vault]):
                m.d.comb += [
                    placed.place.eq(first + block.head * parts + block.part),
                    placed.sequence.eq(sequence),
                    placed.block.eq(block.block),
                ]
            ends = (block.head == compute.vectors - 1) & (block.part == parts - 1)
            with m.If(self.begin):
                m.d.sync += [head.eq(vault), first.eq(begins), sequence.eq(0)]
            with m.Elif(given.valid & given.ready & ends):
                with m.If(head + self._vaults < self.heads):
                    m.d.sync += [
                        head.eq(head + self._vaults),
                        first.eq(first + self._vaults * compute.vectors * parts),
                    ]
                with m.Else():
                    m.d.sync += [
                        head.eq(vault),
                        first.eq(begins),
                        sequence.eq(sequence + 1),
                    ]
        return m
