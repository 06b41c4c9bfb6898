"""A flash channel in a vault's place: keys and values read out of it beat by beat."""

from collections import deque

from neardecode.config import Config
from neardecode_testbench.model.pages import Pages
from neardecode_testbench.model.vault import PageRead

__all__ = ["FlashReads"]

NEVER = 1 << 60


class FlashReads:
    """A channel that is asked for runs of pages, cycle by cycle; times are cycles since reset.

    Args:
        config: The configuration.

    Attributes:
        attends: What is asked for and was not taken yet.
        changed: Whether anything happened in the latest cycle.
    """

    waits_only = True
    """Whatever it does without its reader is known when it is asked."""

    def __init__(self, config: Config):
        self._pages, self._beats = Pages(config, 0), config.flash.page_beats
        self.attends: deque[PageRead] = deque()
        self.changed = False
        # Runs that were taken and the pages of each that are to be read; beats of the oldest page
        # that were read; what stands in the output's register.
        self._runs: deque[tuple[PageRead, int]] = deque()
        self._beat = 0
        self._out: PageRead | None = None

    def run(self, until: int) -> None:
        """Goes on to a cycle: nothing happens until something is asked."""

    def tick(self, now: int) -> None:
        """One cycle."""
        self._take(now)
        self._pages.run(now)
        out = self._out
        if out is not None:
            if out.takes is not None and not out.takes(now):
                return
            out.beats.append(now)
            self._out, self.changed = None, True
        if self._there() <= now:
            self._read(now)

    def next_event(self, now: int) -> int:
        """The next cycle in which something may happen of itself."""
        times = [NEVER, self._pages.bus_next]
        if self.attends:
            times += [self.attends[0].asked, self._free()]
        if self._out is None:
            times.append(self._there())
        return min(time for time in times if time > now)

    def _free(self) -> int:
        """When a run is taken: with the last page of the one before, at the soonest."""
        return NEVER if self._pages.left else self._pages.queried

    def _take(self, now: int) -> None:
        """A run that is asked for."""
        if not self.attends:
            return
        request = self.attends[0]
        if max(request.asked, self._free()) > now:
            return
        self.attends.popleft()
        request.taken, self.changed = now, True
        self._runs.append((request, request.pages))
        self._pages.ask(range(request.page, request.page + request.pages), now)

    def _there(self) -> int:
        """When the next beat is in its buffer, as far as that is known."""
        if not self._pages.reads:
            return NEVER
        page, soonest = self._pages.reads[0]
        return NEVER if page.present is None else max(page.present, soonest) + self._beat

    def _read(self, now: int) -> None:
        """A beat goes to the output's register."""
        run, left = self._runs[0]
        self._out, self.changed = run, True
        self._beat += 1
        if self._beat < self._beats:
            return
        page, _ = self._pages.reads.popleft()
        self._beat = 0
        self._pages.served(page, now)
        if left == 1:
            self._runs.popleft()
        else:
            self._runs[0] = run, left - 1
