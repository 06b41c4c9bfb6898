"""The commands of a slice: their pages are asked for, and their beats get a meaning."""

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.compute.command import FORMAT_BITS, SELECTION_BITS, Mode, SliceCommand
from neardecode.compute.lanes import Lanes
from neardecode.compute.requests import RowRequests, SelectedPage
from neardecode.compute.rows import RowWalk
from neardecode.config import Compute as ComputeConfig
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["CommandIntake", "OpenCommand"]

SELECTED_PAGES_AHEAD = 64
"""Pages of commands with a selection that may be asked for before the first of them is done."""
_KEPT = ("mode", "format", "rows", "blocks", "page_rows", "pages", "keep", "deliver", "rescale")


class OpenCommand(data.StructLayout):
    """What is kept of a command until its last beat. Fields: as `SliceCommand`."""

    def __init__(self, config: ComputeConfig, address_bits: int):
        members = SliceCommand(config, address_bits).members
        kept = {name: members[name] for name in (*_KEPT, "tag") if name in members}
        super().__init__(kept)


class CommandIntake(wiring.Component):
    """Takes commands, asks for their pages ahead, and says what each beat is.

    Latency: none from a beat to its meaning; pages as `RowRequests`.

    Parameters:
        config: The compute section of a configuration.
        lanes: The slice's.
        address_bits: Bits of a page's address.

    Members:
        commands: In(stream of `SliceCommand`).
        selections: In(stream of words). As `RowRequests`. Only with ``selection``.
        requests: Out(stream of `PageRequest`).
        beat, offered: In(`PageBeat`), In(1). The memory's, and whether there is one.
        taken: In(1). The beat is taken.
        passes: In(1). A row that was lost with a page ends.
        fed: In(1). The command's vectors are there, or it takes none.
        command: Out(`OpenCommand`). The first that is not done.
        format, weighing: Out. The value of its `BlockFormat`, and whether it accumulates.
        open: Out(1). There is a command.
        known: Out(1). The beat that is offered is one of its.
        admits: Out(1). It waits for a beat that may come.
        ended: Out(1). It is done in this cycle.
        The others: Out. What the beat is, as `RowWalk`.
    """

    commands: stream.Interface
    selections: stream.Interface
    requests: stream.Interface
    beat: data.View
    offered: Signal
    taken: Signal
    passes: Signal
    fed: Signal
    command: data.View
    format: Signal
    weighing: Signal
    open: Signal
    known: Signal
    admits: Signal
    ended: Signal
    place: Signal
    is_gaps: Signal
    is_scale: Signal
    is_element: Signal
    skipped: Signal
    lost: Signal
    row_beat: Signal
    row: Signal
    row_last: Signal
    final: Signal
    ending: Signal
    beginning: Signal
    error: Signal

    def __init__(self, config: ComputeConfig, lanes: Lanes, address_bits: int):
        self._config, self._lanes, self._address_bits = config, lanes, address_bits
        self._walk = RowWalk(config, lanes, address_bits + 1)
        self._told = [
            name
            for name, member in self._walk.signature.members.items()
            if member.flow is Out and name != "command_last"
        ]
        members = {
            "commands": In(stream.Signature(SliceCommand(config, address_bits))),
            "requests": Out(stream.Signature(PageRequest(address_bits))),
            "beat": In(PageBeat(lanes.beat_bytes)),
            "offered": In(1),
            "taken": In(1),
            "passes": In(1),
            "fed": In(1),
            "command": Out(OpenCommand(config, address_bits)),
            "format": Out(FORMAT_BITS),
            "weighing": Out(1),
            "open": Out(1),
            "known": Out(1),
            "admits": Out(1),
            "ended": Out(1),
            **{name: self._walk.signature.members[name] for name in self._told},
        }
        if config.selection:
            members["selections"] = In(stream.Signature(SELECTION_BITS))
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """A queue of commands beside the pages that were asked for, and the walk over them."""
        m = Module()
        config, lanes, walk = self._config, self._lanes, self._walk
        given, command = self.commands.payload, self.command
        m.submodules.waiting = waiting = StreamFIFO(command.shape(), config.commands_ahead)
        m.submodules.asking = asking = RowRequests(config, lanes, self._address_bits)
        m.submodules.walk = walk
        accepted = self.commands.valid & self.commands.ready
        connect(m, asking.requests, flipped(self.requests))
        m.d.comb += [
            asking.command.eq(given),
            asking.start.eq(accepted),
            self.commands.ready.eq(waiting.i.ready & asking.free),
            waiting.i.valid.eq(accepted & (given.rows != 0)),
            *(waiting.i.payload[name].eq(given[name]) for name in command.shape().members),
            command.eq(waiting.o.payload),
            self.open.eq(waiting.o.valid),
            waiting.o.ready.eq(self.ended),
            self.format.eq(lanes.formats[0].value if len(lanes.formats) == 1 else command.format),
            self.known.eq(self.open & self.offered),
            self.admits.eq(self.open & ~walk.lost),
        ]
        if config.head_elements:
            m.d.comb += self.weighing.eq(command.mode == Mode.ACCUMULATE)
        m.d.comb += [
            walk.format.eq(self.format),
            walk.rows.eq(command.rows),
            walk.blocks.eq(command.blocks),
            walk.beat.eq(self.beat),
            walk.taken.eq(self.taken),
            *(getattr(self, name).eq(getattr(walk, name)) for name in self._told),
        ]
        if config.skip_zeros:
            m.d.comb += [walk.pages.eq(command.pages), walk.passes.eq(self.passes)]
        dropped: Value = Const(0, 1)
        if config.selection:
            dropped = self._select(m, asking)
        m.d.comb += self.ended.eq(walk.command_last | dropped)
        return m

    def _select(self, m: Module, asking: RowRequests) -> Value:
        """Beats of selected pages belong to the pages that were found; whether there are none."""
        m.submodules.pages = pages = StreamFIFO(SelectedPage(self._config), SELECTED_PAGES_AHEAD)
        connect(m, flipped(self.selections), asking.selections)
        connect(m, asking.pages, pages.i)
        selected, dropped = Signal(), Signal()
        page = pages.o.payload
        found = pages.o.valid & ~page.none
        m.d.comb += [
            selected.eq(self.command.page_rows != 0),
            dropped.eq(self.open & selected & pages.o.valid & page.none & self.fed),
            pages.o.ready.eq(dropped | (self.taken & self.beat.last & selected)),
            self._walk.page.eq(page),
            self._walk.page_rows.eq(self.command.page_rows),
        ]
        with m.If(selected):
            m.d.comb += [
                self.known.eq(self.open & self.offered & found),
                self.admits.eq(self.open & ~self._walk.lost & found),
            ]
        return dropped
