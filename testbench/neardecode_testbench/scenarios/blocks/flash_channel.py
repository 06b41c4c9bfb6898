"""A flash channel with its core dies: every beat's bytes, and the cycle of every handshake.

The model beside it is at the level of pages, written from the channel's contract: which page is a
hit, which buffer it takes, when its bank senses, when it crosses the bus, when its beats leave. It
predicts every transfer at the edge, every access of the storage and the cause of every cycle,
whatever the streams' stalls.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.utils import ceil_log2
from numpy.typing import NDArray

from neardecode.config import ChannelCause, ChannelEvent, Flash
from neardecode.lib.page import PageBeat, PageRequest
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.nand_dies import DiesModel
from neardecode_testbench.scenarios.blocks.turns import Turns
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["ChannelModel", "ChannelReads", "ChannelRun", "Read", "random_reads"]

STREAMS = ("requests", "beats")


@dataclass(frozen=True)
class Read:
    """A request: a run of pages.

    Attributes:
        address, pages, fresh: The request's.
    """

    address: int
    pages: int = 1
    fresh: bool = False


def random_reads(seed: int, flash: Flash, count: int) -> tuple[Read, ...]:
    """Requests that hit, miss, conflict, sense afresh, run on, and leave the channel's pages."""
    random = np.random.default_rng(seed)
    favourites = random.integers(flash.pages, size=3)
    reads: list[Read] = []
    for _ in range(count):
        kind = random.random()
        if kind < 0.4:
            address = int(random.choice(favourites))
        elif kind < 0.6 and reads:
            # Another row of the bank read last.
            address = (reads[-1].address + int(random.integers(4)) * flash.banks) % flash.pages
        elif kind < 0.7:
            address = int(random.integers(flash.pages - 2, 2 * flash.pages))
        else:
            address = int(random.integers(flash.pages))
        pages = int(random.choice((1, 1, 1, 2, 3, 7)))
        reads.append(Read(address, pages, bool(random.random() < 0.15)))
    return tuple(reads)


@dataclass(eq=False)
class _QueuedPage:
    """A page in the queue of its bank."""

    address: int
    wanted_from: int
    told: bool = False
    content: NDArray[np.uint8] | None = None
    readable_from: int | None = None
    outstanding: int = 0
    current: bool = True


@dataclass
class _Order:
    """A page to deliver."""

    page: _QueuedPage | None
    tag: int
    visible_from: int


@dataclass
class Predicted:
    """What a play must do: cycles, payloads as (data, first, last, error, tag), and counts."""

    requests: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    beats: list[tuple[int, bool, bool, bool, int]] = field(default_factory=list)
    accesses: list[tuple[int, int]] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)


class ChannelModel:
    """A channel at the level of pages; it keeps its buffers from one play to the next.

    Args:
        flash: The channel's configuration.
        sense_cycles: tR.
    """

    def __init__(self, flash: Flash, sense_cycles: int):
        self._flash = flash
        self._dies = DiesModel(flash.banks, flash.page_beats, sense_cycles)
        self._queues: list[list[_QueuedPage]] = [[] for _ in range(flash.banks)]
        self._sensed: list[deque[_QueuedPage]] = [deque() for _ in range(flash.banks)]
        self._sense_turns = Turns(flash.banks)
        self._transfer_turns = Turns(flash.banks)
        self._transfers: list[int] = []

    def play(
        self,
        reads: Sequence[tuple[Read, int]],
        memory: NDArray[np.uint8],
        start: int,
        request_stalls: NDArray | None,
        beat_stalls: NDArray | None,
        trailing: int,
    ) -> Predicted:
        """Predicts one play of reads with their tags, from cycle ``start`` to its end."""
        flash = self._flash
        page_beats = flash.page_beats
        total = sum(read.pages for read, _ in reads) * page_beats
        predicted = Predicted(
            causes={cause.name: 0 for cause in ChannelCause},
            events={event.name: 0 for event in ChannelEvent},
        )
        events = predicted.events
        next_read = 0
        offering = False
        run: deque[tuple[int, bool, int]] = deque()
        orders: deque[_Order] = deque()
        beat = 0
        out: tuple[int, bool, bool, bool, int] | None = None
        fresh_out = False
        cycle = start
        while True:
            done = next_read == len(reads) and len(predicted.taken) == total
            if done:
                if trailing == 0:
                    return predicted
                trailing -= 1

            # The edge.
            if not offering and next_read < len(reads):
                offering = not _stalled(request_stalls, cycle)
            beats_ready = (done or len(predicted.taken) < total) and not _stalled(
                beat_stalls, cycle
            )
            if out is not None and fresh_out:
                predicted.offered.append(cycle)
            fresh_out = False
            visible = [order for order in orders if order.visible_from <= cycle]
            page_ready = self._dies.page_ready(cycle)
            sense_ready = self._dies.sense_ready(cycle)
            next_pages = [self._next_page(queue, cycle) for queue in self._queues]
            wanted = [page is not None for page in next_pages]
            cause = self._cause(
                cycle,
                any(page_ready),
                not all(sense_ready) or any(wanted),
                out is not None,
                beats_ready,
                bool(visible) or bool(run),
            )
            predicted.causes[cause.name] += 1

            # The page at the table.
            page_taken = False
            if run and len(orders) < 4 * flash.banks - 1:
                address, fresh, tag = run[0]
                order = self._look_up(address, fresh, tag, cycle, events)
                page_taken = order is not None
                if order is not None:
                    events["PAGES"] += 1
                    orders.append(order)
            requests_ready = not run or (len(run) == 1 and page_taken)
            if page_taken:
                run.popleft()

            # The banks and the bus.
            if any(eligible := [w and s for w, s in zip(wanted, sense_ready, strict=True)]):
                bank = self._sense_turns.choose(eligible, used=True)
                page = next_pages[bank]
                assert page is not None
                page.told = True
                if (index := self._queues[bank].index(page)) >= 2:
                    del self._queues[bank][index - 2]
                self._dies.sense(cycle, bank, page.address // flash.banks)
                self._sensed[bank].append(page)
                events["SENSES"] += 1
            if any(page_ready):
                open_ = self._dies.transfer_ready(cycle)
                bank = self._transfer_turns.choose(page_ready, used=open_)
                if open_:
                    page = self._sensed[bank].popleft()
                    self._dies.transfer(cycle, bank)
                    page.readable_from = cycle + 3
                    page.content = memory[page.address].copy()
                    self._transfers.append(cycle)
                    predicted.accesses.append((cycle + 1, page.address * page_beats))

            # Delivery: a beat read in this cycle stands at the output in the next.
            if out is not None and beats_ready:
                predicted.taken.append(cycle)
                predicted.beats.append(out)
                events["BEATS"] += 1
                out = None
            if out is None and visible:
                order = visible[0]
                page = order.page
                if page is None or _present(page, cycle):
                    data = 0
                    if page is not None and page.content is not None:
                        size = flash.beat_bytes
                        data = int.from_bytes(
                            page.content[beat * size : (beat + 1) * size].tobytes(), "little"
                        )
                    last = beat == page_beats - 1
                    out = (data, beat == 0, last, page is None, order.tag)
                    fresh_out = True
                    beat = 0 if last else beat + 1
                    if last:
                        orders.popleft()
                        if page is not None:
                            page.outstanding -= 1

            if offering and requests_ready:
                read, tag = reads[next_read]
                predicted.requests.append(cycle)
                run.extend((read.address + number, read.fresh, tag) for number in range(read.pages))
                next_read += 1
                offering = False
            cycle += 1

    def _next_page(self, queue: list[_QueuedPage], cycle: int) -> _QueuedPage | None:
        """The page that a bank could sense now: its next, if the one two before it is done with."""
        for index, page in enumerate(queue):
            if not page.told:
                before = queue[index - 2] if index >= 2 else None
                free = before is None or (_present(before, cycle) and not before.outstanding)
                return page if free and page.wanted_from <= cycle else None
        return None

    def _look_up(
        self, address: int, fresh: bool, tag: int, cycle: int, events: dict[str, int]
    ) -> _Order | None:
        """The order for a page, or None while its bank's queue is full."""
        flash = self._flash
        if address >= flash.pages:
            return _Order(None, tag, cycle + 1)
        queue = self._queues[address % flash.banks]
        # A page that two newer ones follow has to make room.
        found = [page for page in queue[-2:] if page.current and page.address == address]
        if found and not fresh:
            events["HITS"] += 1
            page = found[0]
        else:
            if len(queue) == flash.queue_pages:
                return None
            for page in found:
                page.current = False
            page = _QueuedPage(address, cycle + 1)
            queue.append(page)
        page.outstanding += 1
        return _Order(page, tag, cycle + 1)

    def _cause(
        self,
        cycle: int,
        page_ready: bool,
        sensing: bool,
        beat_valid: bool,
        beat_ready: bool,
        reading: bool,
    ) -> ChannelCause:
        since = [cycle - taken for taken in self._transfers[-2:]]
        if any(2 <= age <= self._flash.page_beats + 1 for age in since):
            return ChannelCause.BUSY
        if page_ready or any(1 <= age <= self._flash.page_beats + 1 for age in since):
            return ChannelCause.SCHEDULE
        if sensing:
            return ChannelCause.SENSE
        if beat_valid and not beat_ready:
            return ChannelCause.OUTPUT
        return ChannelCause.BUFFERED if beat_valid or reading else ChannelCause.IDLE


@dataclass
class ChannelRun:
    """What a channel did, over all plays.

    Attributes:
        requests: When each request was taken.
        beats: When each beat was taken.
        accesses: When each page began to be read from the dies, and its address in beats.
        counts: Cycles by cause.
        events: Events.
    """

    requests: list[int] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    accesses: list[tuple[int, int]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)


@dataclass
class ChannelReads:
    """Reads on a channel, in one or more plays; between two plays all pages are rewritten.

    Attributes:
        flash: The channel's configuration.
        sense_cycles: tR.
        plays: The reads of each play.
        seed: Of contents and tags.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flash: Flash
    sense_cycles: int
    plays: tuple[tuple[Read, ...], ...]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> ChannelRun:
        """Plays the reads and checks every value and every cycle."""
        flash = self.flash
        random = np.random.default_rng(self.seed)
        stalls = {stream: self.pacing.stalls(stream) for stream in STREAMS}
        request = Packer(PageRequest(ceil_log2(flash.pages)))
        beat = Packer(PageBeat(flash.beat_bytes))
        model = ChannelModel(flash, self.sense_cycles)
        run = ChannelRun()
        offered: list[int] = []
        causes = {cause.name: 0 for cause in ChannelCause}
        events = {event.name: 0 for event in ChannelEvent}
        trailing = 8
        now = 0
        for reads in self.plays:
            memory = random.integers(256, size=(flash.pages, flash.page_bytes), dtype=np.uint8)
            tagged = [(read, int(random.integers(1 << 16))) for read in reads]
            predicted = model.play(
                tagged, memory, now, stalls["requests"], stalls["beats"], trailing
            )
            outcome = step(
                Play(
                    sources=[
                        Source(
                            "requests",
                            [request.pack({**vars(read), "tag": tag}) for read, tag in tagged],
                            stalls["requests"],
                        )
                    ],
                    sinks=[
                        Sink(
                            "beats",
                            len(predicted.beats),
                            [
                                beat.pack(
                                    dict(
                                        zip(
                                            ("data", "first", "last", "error", "tag"),
                                            fields,
                                            strict=True,
                                        )
                                    )
                                )
                                for fields in predicted.beats
                            ],
                            stalls["beats"],
                        )
                    ],
                    storages=[
                        Storage("storage", memory, flash.beat_bytes, log_every=flash.page_beats)
                    ],
                    levels={"counting": 1},
                    limit=2 * (predicted.taken[-1] - now) + 1000,
                    trailing=trailing,
                )
            )
            now += outcome.cycles
            log = outcome.sinks["beats"]
            check_sink("beats", log)
            check_cycles("request", outcome.sources["requests"], predicted.requests)
            check_cycles("beat", log.cycles, predicted.taken)
            accesses = outcome.accesses["storage"]
            check_cycles(
                "page address", [a for _, a in accesses], [a for _, a in predicted.accesses]
            )
            check_cycles("page", [c for c, _ in accesses], [c for c, _ in predicted.accesses])
            offered += predicted.offered
            run.requests += outcome.sources["requests"]
            run.beats += log.cycles
            run.accesses += accesses
            for name, count in predicted.causes.items():
                causes[name] += count
            for name, count in predicted.events.items():
                events[name] += count
        if self.recorder.cycles:
            check_cycles("beats offered", self.recorder.offered["beats"], offered)
            check_cycles("beats taken", self.recorder.taken["beats"], run.beats)
        run.counts = read_counts(step, "cycles", ChannelCause)
        run.events = read_counts(step, "events", ChannelEvent)
        check_counts("channel", run.counts, causes)
        check_counts("channel", run.events, events)
        return run


def _present(page: _QueuedPage, cycle: int) -> bool:
    return page.readable_from is not None and page.readable_from <= cycle


def _stalled(stalls: NDArray | None, cycle: int) -> bool:
    return stalls is not None and bool(stalls[cycle % len(stalls)])
