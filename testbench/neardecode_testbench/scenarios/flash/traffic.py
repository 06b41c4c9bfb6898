"""Random commands of a host and a slice: mostly sensible, every rule broken now and then."""

import random
from dataclasses import dataclass, field

from neardecode.config import Flash
from neardecode.flash.admin.register_map import ERROR_ENTRIES, SMART_BYTES
from neardecode.flash.status import Opcode, PacketType

__all__ = ["Command", "PageState", "SliceRead", "Traffic", "TrafficMix"]

FLASH, SCRATCHPAD, ADMIN, RESERVED = (kind.value for kind in PacketType)
SMART_LOG = Opcode.GET_LOG_PAGE.value
ERROR_LOG = SMART_LOG | 1 << 8
BATCH = 1 << 2
STAGE_SHIFT = 6


@dataclass(slots=True)
class Command:
    """A command of the host, and what came of it.

    Attributes:
        write: It is a write.
        id, address, length, user: As on the wire; ``length`` is the beats less one.
        data: The beats of a write, as they are sent; the last one has ``last``.
        accepted: The cycle of its acceptance.
        settled: The latest cycle by which its place in the line was left.
        arrived: For a write the cycle of each beat.
        answered: The cycle of its answer, for a read of each beat.
        status, info: Its answer.
        answer: The beats of a read's answer.
    """

    write: bool
    id: int
    address: int
    length: int
    user: int
    data: list[int] = field(default_factory=list)
    accepted: int = -1
    settled: int = -1
    arrived: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    status: int = -1
    info: int = -1
    answer: list[int] = field(default_factory=list)

    @property
    def kind(self) -> int:
        """What it is for."""
        return self.user & 3

    def __str__(self) -> str:
        return (
            f"{'write' if self.write else 'read'} id {self.id} address {self.address:#x}"
            f" length {self.length} user {self.user:#x}, accepted in cycle {self.accepted}"
        )


@dataclass(slots=True)
class SliceRead:
    """A run of pages that the slice asks for.

    Attributes:
        address, pages, fresh, tag: As in `PageRequest`.
    """

    address: int
    pages: int
    fresh: int
    tag: int


@dataclass(frozen=True)
class PageState:
    """What the host knows of a NAND block.

    Attributes:
        next_page: The page that it takes next.
        failed: Only page 0 may follow.
        retired: It is gone.
    """

    next_page: int
    failed: bool
    retired: bool


@dataclass(frozen=True)
class TrafficMix:
    """How often things happen.

    Attributes:
        illegal: The share of commands that cannot be carried out.
        incomplete: The share of pages that never become complete.
        disordered: The share of pages that do not follow in their block.
        overlapping: The share of bursts that are sent twice.
        torn: The share of writes whose ``last`` stands in the wrong place.
        reads: Reads for each page that is written.
        slice_reads: The share of rounds in which the slice reads too.
    """

    illegal: float = 0.03
    incomplete: float = 0.05
    disordered: float = 0.04
    overlapping: float = 0.04
    torn: float = 0.004
    reads: int = 12
    slice_reads: float = 0.5


class Traffic:
    """Makes the commands of one round after another.

    Args:
        config: The flash section, with ``host``.
        seed: Of everything.
        mix: How often things happen.
    """

    def __init__(self, config: Flash, seed: int, mix: TrafficMix):
        assert config.host is not None
        self.config, self.host, self.mix = config, config.host, mix
        self.random = random.Random(seed)
        self.written: list[tuple[int, int]] = []
        self._stages = 0 if config.ecc is None else config.ecc.retry_stages
        self._ids = min(1 << self.host.id_bits, 6)
        self._beat_bits = 8 * config.beat_bytes

    def round(
        self, blocks: dict[tuple[int, int], PageState]
    ) -> tuple[list[Command], list[Command], list[SliceRead]]:
        """The reads, the writes and the slice's reads of a round.

        Args:
            blocks: Every block as it stands, by its bank and its number.
        """
        pick = self.random
        pages = self._pages(blocks)
        writes = self._writes(pages)
        reads = [self._read(pages) for _ in range(self.mix.reads * max(2, len(pages)))]
        for _ in range(pick.randrange(4)):
            writes.insert(pick.randint(0, len(writes)), self._scratch(True))
        if pick.random() < 0.3:
            writes.insert(pick.randint(0, len(writes)), self._admin_write())
        for commands, write in ((writes, True), (reads, False)):
            for _ in range(len(commands)):
                if pick.random() < self.mix.illegal:
                    commands.insert(pick.randint(0, len(commands)), self._illegal(write))
        slices = []
        if pick.random() < self.mix.slice_reads:
            slices = [self._slice() for _ in range(pick.randint(1, 8))]
        self.written = (pages + self.written)[:64]
        return reads, writes, slices

    def _pages(self, blocks: dict[tuple[int, int], PageState]) -> list[tuple[int, int]]:
        """The pages that are written, (bank, row) in the order in which they begin."""
        pick, size = self.random, self.host.pages_a_block
        names = list(blocks)
        if pick.random() < 0.9:
            usable = [name for name in names if not blocks[name].retired]
            names = usable or names
        # A few blocks at a time, so that they fill up.
        count = pick.choice((1, 2, 2, 3, 4))
        favourites = names[: max(2, len(names) // 4)] if pick.random() < 0.6 else names
        chosen = pick.sample(favourites, min(count, len(favourites)))
        following = {}
        for name in chosen:
            state = blocks[name]
            following[name] = 0 if state.failed else state.next_page % size
        units = self.host.units
        total = pick.randint(1, units) if pick.random() < 0.85 else units + pick.randint(1, 3)
        pages = []
        for _ in range(total):
            name = pick.choice(chosen)
            page = following[name]
            if pick.random() < self.mix.disordered:
                page = pick.randrange(size)
            elif page < size:
                following[name] = page + 1
            else:
                continue
            pages.append((name[0], name[1] * size + page))
        return pages

    def _writes(self, pages: list[tuple[int, int]]) -> list[Command]:
        """The bursts of pages, those of one page mixed with those of the next."""
        pick, beats = self.random, self.config.page_beats
        queues = []
        for page in pages:
            bursts, first = [], 0
            most = pick.choice((1, 2, 4, 8, beats, beats))
            while first < beats:
                size = min(pick.randint(1, most), beats - first)
                bursts.append((first, size))
                first += size
            if pick.random() < 0.3:
                pick.shuffle(bursts)
            if pick.random() < self.mix.incomplete:
                bursts.pop(pick.randrange(len(bursts)))
            bursts = [
                burst for burst in bursts for _ in range(1 + (pick.random() < self.mix.overlapping))
            ]
            queues.append((page, bursts))
        writes = []
        window = pick.choice((1, 2, 4, 8))
        while any(bursts for _, bursts in queues):
            open_ = [queue for queue in queues if queue[1]][:window]
            page, bursts = open_[0] if pick.random() < 0.5 else pick.choice(open_)
            first, size = bursts.pop(0)
            writes.append(self._page_write(page, first, size))
        return writes

    def _address(self, page: tuple[int, int], first: int) -> int:
        bank, row = page
        number = row * self.config.banks + bank
        return (number * self.config.page_beats + first) * self.config.beat_bytes

    def _words(self, count: int) -> list[int]:
        return [self.random.getrandbits(self._beat_bits) for _ in range(count)]

    def _page_write(self, page: tuple[int, int], first: int, beats: int) -> Command:
        pick = self.random
        sent = beats
        if pick.random() < self.mix.torn:
            sent = max(1, beats + pick.choice((-1, 1, 3)))
        user = BATCH if pick.random() < 0.05 else 0
        return Command(
            True, self._id(), self._address(page, first), beats - 1, user, self._words(sent)
        )

    def _id(self) -> int:
        return self.random.randrange(self._ids)

    def _page(self, pages: list[tuple[int, int]]) -> tuple[int, int]:
        pick = self.random
        turn = pick.random()
        if pages and turn < 0.4:
            return pick.choice(pages)
        if self.written and turn < 0.75:
            return pick.choice(self.written)
        if pages and turn < 0.85:
            bank, row = pick.choice(pages)
            size = self.host.pages_a_block
            return bank, row - row % size + pick.randrange(size)
        return pick.randrange(self.config.banks), pick.randrange(self.config.pages_a_bank)

    def _read(self, pages: list[tuple[int, int]]) -> Command:
        pick, page_beats = self.random, self.config.page_beats
        turn = pick.random()
        if turn < 0.06:
            return self._scratch(False)
        if turn < 0.09:
            return self._admin_read()
        first = pick.randrange(page_beats)
        most = page_beats - first
        beats = pick.choice((1, 1, 2, most, pick.randint(1, most)))
        if pick.random() < 0.15:
            first, beats = 0, page_beats
        user = BATCH if pick.random() < 0.2 else 0
        if self._stages and pick.random() < 0.1:
            user |= pick.randint(0, self._stages) << STAGE_SHIFT
        page = self._page(pages)
        return Command(False, self._id(), self._address(page, first), min(beats, most) - 1, user)

    def _scratch(self, write: bool) -> Command:
        pick = self.random
        total = self.host.scratchpad_bytes // self.config.beat_bytes
        beats = pick.choice((1, 2, pick.randint(1, min(8, self.config.page_beats))))
        first = pick.randrange(min(total - beats + 1, 24))
        if pick.random() < 0.1:
            first = total - beats
        user = SCRATCHPAD | (BATCH if pick.random() < 0.1 else 0)
        sent = beats
        if write and pick.random() < self.mix.torn:
            sent = max(1, beats + pick.choice((-1, 1)))
        data = self._words(sent) if write else []
        return Command(write, self._id(), first * self.config.beat_bytes, beats - 1, user, data)

    def _admin_read(self) -> Command:
        """A register or a feature that no state changes, a log, or something that is refused."""
        pick = self.random
        always_on = (0x000, 0x008, 0x010, 0x014, 0x018, 0x058, 0x098, 0x200, 0x20C, 0x228)
        mmio = (0x000, 0x004, 0x008, 0x00C, 0x01C, 0x024, 0x03C, 0x050, 0x060, 0x100, 0x150)
        turn = pick.random()
        length = 0
        user = ADMIN
        if turn < 0.7:
            table = pick.random() < 0.5
            offset = pick.choice(mmio if table else always_on)
            address, user = 0x20 | offset << 8, ADMIN | (BATCH if table else 0)
        elif turn < 0.85:
            address = 0x02 | pick.choice((0, 1, 2, 3, 0x10, 0x55)) << 8
        elif turn < 0.95:
            address, length = ERROR_LOG, pick.choice((0, 3, ERROR_ENTRIES - 1))
            if pick.random() < 0.3:
                address, length = SMART_LOG, -(-SMART_BYTES // self.config.beat_bytes) - 1
        else:
            address = pick.choice((0x20 | 0xFFC << 8, 0x03, 0x07, 0x09, 0x77, 0x20))
            length = pick.choice((0, 1, 2, self.config.page_beats - 1, 63, 127, 128, 255))
            user = ADMIN | pick.choice((0, 8, 0x40))
        return Command(False, self._id(), address, length, user)

    def _admin_write(self) -> Command:
        pick = self.random
        address = 0x20 | pick.choice((0x010, 0x018, 0x000, 0x014, 0xFF0)) << 8
        beats = pick.choice((1, 1, 1, 2, 5))
        user = ADMIN | pick.choice((0, 0, 0, 8))
        return Command(True, self._id(), address, beats - 1, user, self._words(beats))

    def _illegal(self, write: bool) -> Command:
        """A command for flash or scratchpad that is refused by its look."""
        pick, config = self.random, self.config
        page_beats, size = config.page_beats, config.beat_bytes
        address = self._address(self._page([]), 0)
        length, user = pick.randrange(page_beats), 0
        turn = pick.randrange(9)
        if turn == 0:
            user = RESERVED
        elif turn == 1:
            user = pick.choice((FLASH, SCRATCHPAD)) | 1 << pick.randint(3, 5)
            address %= self.host.scratchpad_bytes
        elif turn == 2:
            address += pick.randint(1, size - 1)
        elif turn == 3:
            length = pick.randint(page_beats, 255)
        elif turn == 4:
            first = pick.randint(1, page_beats - 1)
            address += first * size
            length = pick.randint(page_beats - first, page_beats - 1)
        elif turn == 5:
            address += config.pages * config.page_bytes * pick.randint(1, 3)
        elif turn == 6:
            user = SCRATCHPAD
            address = self.host.scratchpad_bytes + size * pick.randint(-length, 64)
        elif turn == 7:
            stage = 1 if write else self._stages + 1
            user = (stage if stage < 8 else 0) << STAGE_SHIFT | pick.choice((0, 8))
        else:
            user = SCRATCHPAD | pick.randint(1, 7) << STAGE_SHIFT
            address = 0
        data = self._words(length + 1) if write else []
        return Command(write, self._id(), address, length, user, data)

    def _slice(self) -> SliceRead:
        pick, pages = self.random, self.config.pages
        if self.written and pick.random() < 0.7:
            bank, row = pick.choice(self.written)
            address = row * self.config.banks + bank
        else:
            address = pick.randrange(pages)
        if pick.random() < 0.03:
            address = pages + pick.randrange(pages)
        count = pick.choice((1, 1, 2, self.config.banks))
        return SliceRead(address, count, int(pick.random() < 0.2), pick.randrange(4))
