"""Chips that decode one model together, joined by a reduction tree."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Config, ProtectedLinkCause, ProtectedLinkEvent
from neardecode.config.topology import Topology
from neardecode.decoder.layouts import ChipProgramWrite
from neardecode.fabric.reduction_tree import ReductionTree, spanning_tree
from neardecode.token_chip import TokenChip, token_counter_names

__all__ = ["EACH", "LANES", "TokenChips", "chip_topology", "system_counter_names"]

EACH = ("dies", "drams", "faulty", "doubled")
"""What every chip has at its edge, one after the other."""
LANES = ("lanes_out", "lanes_in")
"""What leads from one protected link's end to the other."""
LANDING_TRANSFERS = 16


def chip_topology(chips: int) -> Topology:
    """How chips lie: a line, or the grid nearest to a square."""
    rows = max(each for each in range(1, chips + 1) if chips % each == 0 and each * each <= chips)
    return Topology((chips,) if rows == 1 else (chips // rows, rows))


def system_counter_names(config: Config) -> tuple[str, ...]:
    """What stands at each counter address, chip by chip; of several each name says which."""
    names = token_counter_names(config)
    if config.chips == 1:
        return names
    chips = tuple(f"chip{chip}_{name}" for chip in range(config.chips) for name in names)
    return (*chips, *_link_names(config))


def _link_names(config: Config) -> list[str]:
    """Of both ends of each protected link between chips, the one towards the root second."""
    if config.fabric.chip_protection is None:
        return []
    return [
        name
        for child, parent in enumerate(spanning_tree(chip_topology(config.chips)))
        if parent is not None
        for end in (f"link{child}_up", f"link{child}_down")
        for name in (
            *(f"{end}.{cause.name.lower()}" for cause in ProtectedLinkCause),
            *(f"{end}:{event.name.lower()}" for event in ProtectedLinkEvent),
        )
    ]


class TokenChips(wiring.Component):
    """A model dealt to several chips, which all find the same tokens.

    Every chip has its own rows or columns of every matrix and its own tokens' keys and values, and
    all of the residual stream. Between them go partial results (`Exchange`) and what heads attended
    to (`SharedHeads`), added up in the tree.

    Parameters:
        config: A configuration with a decoder, a stack and several chips.

    Members:
        program: In(stream of `ChipProgramWrite`). Always taken.
        running, prompt, generate, tokens, position, idle: As `TokenChip`, of all chips at once.
        exchanged: Out(stream of `TransferWrite`), one a chip.
        saturated, error: Out(1). Of any chip; a link that is beyond repair is an error.
        lanes_out, lanes_in: Out(lanes), In(lanes). Only of protected links: as `ReductionTree`.
        dies, drams, faulty, doubled: As `TokenChip`, chip by chip.
        counting: In(1). Counters run.
        counter_address: In. Which counter; see `system_counter_names`.
        counter_value: Out(48). Its count, in the same cycle.
    """

    program: stream.Interface
    running: Signal
    prompt: stream.Interface
    generate: Signal
    tokens: stream.Interface
    position: Signal
    idle: Signal
    exchanged: Sequence
    saturated: Signal
    error: Signal
    lanes_out: Sequence
    lanes_in: Sequence
    dies: Sequence
    drams: Sequence
    faulty: Sequence
    doubled: Sequence
    counting: Signal
    counter_address: Signal
    counter_value: Signal

    def __init__(self, config: Config):
        if config.chips < 2:
            raise ValueError(f"chips must be at least 2, not {config.chips}")
        self._config = config
        self._chips = [TokenChip(config) for _ in range(config.chips)]
        decoder = config.decoder
        assert decoder is not None
        self._tree = ReductionTree(
            chip_topology(config.chips),
            width=config.compute.accumulator_bits,
            lanes=decoder.lanes,
            link_latency=config.fabric.chip_link_latency,
            landing_words=LANDING_TRANSFERS,
            protection=config.fabric.chip_protection,
        )
        tree = self._tree.signature.members
        protected = config.fabric.chip_protection is not None
        members = self._chips[0].signature.members
        counters = len(system_counter_names(config))
        super().__init__(
            {
                "program": In(stream.Signature(ChipProgramWrite(config))),
                **{
                    name: members[name]
                    for name in (
                        *("running", "prompt", "generate", "tokens", "position", "idle"),
                        *("saturated", "error", "counting", "counter_value"),
                    )
                },
                "exchanged": members["exchanged"].array(config.chips),
                **{
                    name: _one(members[name]).array(
                        config.chips * len(getattr(self._chips[0], name))
                    )
                    for name in EACH
                },
                "counter_address": In(range(counters)),
                **({name: tree[name] for name in LANES} if protected else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        """Chips side by side; what the host gives goes to all of them."""
        m = Module()
        config, chips = self._config, self._chips
        m.submodules.tree = tree = self._tree
        each = len(token_counter_names(config))
        given = self.program.payload
        m.d.comb += [
            self.program.ready.eq(1),
            self.prompt.ready.eq(Cat(chip.prompt.ready for chip in chips).all()),
            self.tokens.valid.eq(Cat(chip.tokens.valid for chip in chips).all()),
            self.tokens.payload.eq(chips[0].tokens.payload),
            self.position.eq(chips[0].position),
            self.idle.eq(Cat(chip.idle for chip in chips).all()),
            self.saturated.eq(Cat(chip.saturated for chip in chips).any()),
            self.error.eq(Cat(chip.error for chip in chips).any()),
            tree.counting.eq(self.counting),
        ]
        for number, chip in enumerate(chips):
            m.submodules[f"chip{number}"] = chip
            local = Signal.like(chip.counter_address, name=f"counter_{number}")
            m.d.comb += [
                chip.number.eq(number),
                chip.program.valid.eq(self.program.valid & (given.chip == number)),
                chip.program.payload.address.eq(given.address),
                chip.program.payload.descriptor.eq(given.descriptor),
                chip.prompt.valid.eq(self.prompt.valid & self.prompt.ready),
                chip.prompt.payload.eq(self.prompt.payload),
                chip.tokens.ready.eq(self.tokens.valid & self.tokens.ready),
                chip.running.eq(self.running),
                chip.generate.eq(self.generate),
                chip.counting.eq(self.counting),
                local.eq(self.counter_address - number * each),
                chip.counter_address.eq(local),
            ]
            with m.If(
                (self.counter_address >= number * each)
                & (self.counter_address < (number + 1) * each)
            ):
                m.d.comb += self.counter_value.eq(chip.counter_value)
            connect(m, chip.network.commands, tree.commands[number])
            connect(m, chip.network.contributions, tree.contributions[number])
            connect(m, tree.results[number], chip.network.results)
            connect(m, chip.exchanged, flipped(self.exchanged[number]))
            for name in EACH:
                inner, outer = getattr(chip, name), getattr(self, name)
                for place, one in enumerate(inner):
                    edge = outer[number * len(inner) + place]
                    if name in ("dies", "drams"):
                        connect(m, one, flipped(edge))
                    else:
                        m.d.comb += edge.eq(one)
        if config.fabric.chip_protection is not None:
            self._links(m, tree, each * len(chips))
        return m

    def _links(self, m: Module, tree: ReductionTree, first: int) -> None:
        """Lanes to the edge, and counters behind those of the chips."""
        counts = []
        with m.If(tree.failed):
            m.d.comb += self.error.eq(1)
        for end, lanes in enumerate(self.lanes_out):
            m.d.comb += [
                lanes.eq(tree.lanes_out[end]),
                tree.lanes_in[end].eq(self.lanes_in[end]),
            ]
            counts += [*tree.link_cycles[end], *tree.link_events[end]]
        with m.If(self.counter_address >= first):
            m.d.comb += self.counter_value.eq(Array(counts)[self.counter_address - first])


def _one(member: wiring.Member) -> wiring.Member:
    """A member of an array, by itself."""
    return Out(member.signature) if member.is_signature else Out(member.shape)
