"""When a MAC slice by itself does what.

A recurrence over the handshakes at the edge:

- a command is taken once its offer stands, the last page of the one before it is asked for, and
  the command `Compute.commands_ahead` before it is done; its pages are asked for from the next
  cycle on, one a cycle;
- an activation block is taken unless two commands' vectors are held;
- a beat is taken once its command is open and its vectors loaded or its row's probabilities
  offered, in a cycle in which the slice moves, unless a result waits; the last beat of a command
  whose sums are given out waits until those before are;
- a result appears `MacSlice.latency` cycles after its row's last beat was taken, a command's first
  sum `MacSlice.sum_latency` cycles after its last beat of elements, cycles not counted in which a
  result waits or the slice does not move;
- a probability is taken with its row's last beat.

Where a command has a selection, or rows are lost with a page, nothing is predicted.
"""

from dataclasses import dataclass

import numpy as np

from neardecode.compute.lanes import Lanes
from neardecode.compute.pace import THROTTLE_CYCLES
from neardecode.compute.sums import SumLanes
from neardecode.config import Config, SliceCause
from neardecode_testbench.drive.stimulus import Outcome
from neardecode_testbench.scenarios.blocks.edge import (
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    offered_cycles,
    open_from,
)
from neardecode_testbench.scenarios.blocks.mac_numbers import Job
from neardecode_testbench.scenarios.blocks.mac_stimulus import JobStimulus

__all__ = ["SliceCycles"]


@dataclass(frozen=True)
class SliceCycles:
    """What a run's cycles must be; the attributes are those of `SliceRows`."""

    config: Config
    jobs: tuple[Job, ...]
    pacing: Pacing
    throttle: int
    recorder: Recorder

    def _moves(self, cycle: int) -> bool:
        """Whether the slice's clock moves."""
        return cycle % self.config.compute.clock_divider == 0

    def _halted(self, cycle: int) -> bool:
        """Whether a cycle in which it moves is taken away."""
        number = cycle // self.config.compute.clock_divider
        taken_away = [n * self.throttle // THROTTLE_CYCLES for n in (number, number + 1)]
        return taken_away[0] != taken_away[1]

    def check(self, outcome: Outcome, counts: dict[str, int], stimuli: list[JobStimulus]) -> None:
        """The recurrences of this module's docstring, and an owner for every cycle.

        Raises:
            CheckError: if anything came in another cycle.
        """
        page_beats = self.config.flash.page_beats
        recorder = self.recorder
        latency = Lanes.of(self.config).dot_latency + 1
        stalls, start = self.pacing.stalls, outcome.start
        taken = outcome.sources
        offered = {stream: offered_cycles(taken[stream], stalls(stream), start) for stream in taken}
        sinks = {stream: log.cycles for stream, log in outcome.sinks.items()}
        requests, results, sums = sinks["requests"], sinks["results"], sinks.get("sums", [])

        # The beats of each command, and the pages before each command's.
        first_page = np.cumsum([0, *(len(stimulus.found.pages) for stimulus in stimuli)]).tolist()
        finished = [taken["beats"][page * page_beats - 1] for page in first_page[1:]]
        row_ends = [
            [first_page[number] * page_beats + end for end in stimulus.found.row_ends]
            for number, stimulus in enumerate(stimuli)
        ]

        commands, asked, ahead = [], [], self.config.compute.commands_ahead
        for number in range(len(stimuli)):
            ready = [offered["commands"][number]]
            if number:
                ready.append(requests[first_page[number] - 1])
            if number >= ahead:
                ready.append(finished[number - ahead] + 1)
            commands.append(max(ready))
            free = taken["commands"][number] + 1
            for page in range(first_page[number], first_page[number + 1]):
                asked.append(free)
                free = requests[page] + 1
        check_cycles("command", taken["commands"], commands)
        check_cycles("request", requests, [open_from(cycle, stalls("requests")) for cycle in asked])
        check_recorded(recorder, "requests", outcome, asked)

        # Results first: a waiting one holds everything else.
        waiting: set[int] = set()

        def later(cycle: int, moves: int) -> int:
            """The cycle after as many in which the pipeline moves."""
            while moves:
                moves -= cycle not in waiting and self._moves(cycle)
                cycle += 1
            return cycle

        appeared = []
        dots = [
            end
            for job, ends in zip(self.jobs, row_ends, strict=True)
            if not job.sums
            for end in ends
        ]
        for end, result in zip(dots, results, strict=True):
            appeared.append(later(taken["beats"][end], latency))
            waiting |= set(range(appeared[-1], result))
        check_cycles("result", results, [open_from(cycle, stalls("results")) for cycle in appeared])
        check_recorded(recorder, "results", outcome, appeared)

        # When the sums of each command that gives them out are gone.
        gone: list[int] = []
        shown: list[int] = []
        blocked_until: dict[int, int] = {}
        for stimulus, ends in zip(stimuli, row_ends, strict=True):
            if not stimulus.sums:
                continue
            if gone:
                blocked_until[ends[-1]] = gone[-1] + 1
            cycle = later(taken["beats"][ends[-1]], SumLanes.latency + 1)
            for _ in stimulus.sums:
                shown.append(cycle)
                cycle = sums[len(shown) - 1] + 1
            gone.append(cycle - 1)
        check_cycles("sum", sums, [open_from(cycle, stalls("sums")) for cycle in shown])
        if "sums" in sinks:
            check_recorded(recorder, "sums", outcome, shown)

        blocks, loaded = [], []
        done_with: list[int] = []
        place = 0
        for number, (job, stimulus) in enumerate(zip(self.jobs, stimuli, strict=True)):
            if job.sums:
                loaded.append(start)
                continue
            free = done_with[-2] + 1 if len(done_with) >= 2 else start
            for _ in stimulus.activations:
                blocks.append(max(offered["activations"][place], free))
                place += 1
            loaded.append(taken["activations"][place - 1] + 1)
            done_with.append(finished[number])
        check_cycles("activation block", taken["activations"], blocks)

        beats, opened = [], []
        owner: dict[int, SliceCause] = {}
        probability = 0
        weighed = []
        for number, (job, stimulus) in enumerate(zip(self.jobs, stimuli, strict=True)):
            opens = taken["commands"][number] + 1
            if number:
                opens = max(opens, finished[number - 1] + 1)
            opened.append(opens)
            layout = stimulus.found.layout
            for beat in range(first_page[number] * page_beats, first_page[number + 1] * page_beats):
                page, beat_of_page = divmod(beat - first_page[number] * page_beats, page_beats)
                is_element = layout.head_beats <= beat_of_page < stimulus.found.used[page]
                fed = loaded[number]
                if job.sums and is_element:
                    fed = offered["probabilities"][probability]
                    if beat in row_ends[number]:
                        weighed.append(taken["beats"][beat])
                        probability += 1
                cycle = max(offered["beats"][beat], opens, fed, blocked_until.get(beat, 0))
                while cycle in waiting or not self._moves(cycle) or self._halted(cycle):
                    cycle += 1
                beats.append(cycle)
                owner[taken["beats"][beat]] = (
                    SliceCause.SCALES
                    if beat_of_page < layout.head_beats
                    else SliceCause.BUSY
                    if is_element
                    else SliceCause.TAIL
                )
        check_cycles("beat", taken["beats"], beats)
        if "probabilities" in taken:
            check_cycles("probability", taken["probabilities"], weighed)

        open_cycles = {
            cycle
            for opens, ends in zip(opened, finished, strict=True)
            for cycle in range(opens, ends + 1)
        }
        waits_for = {
            cycle: beat
            for beat, (since, until) in enumerate(
                zip(offered["beats"], taken["beats"], strict=True)
            )
            for cycle in range(since, until)
        }
        expected = {cause.name: 0 for cause in SliceCause}
        for cycle in range(start, start + outcome.cycles):
            expected[
                self._cause(cycle, owner, waiting, open_cycles, waits_for, blocked_until).name
            ] += 1
        check_counts("slice", counts, expected)

    def _cause(
        self,
        cycle: int,
        owner: dict[int, SliceCause],
        waiting: set[int],
        open_cycles: set[int],
        waits_for: dict[int, int],
        blocked_until: dict[int, int],
    ) -> SliceCause:
        """The owner of a cycle."""
        if cycle in owner:
            return owner[cycle]
        if cycle in waiting:
            return SliceCause.RESULTS
        if cycle not in open_cycles:
            return SliceCause.IDLE
        if cycle not in waits_for:
            return SliceCause.MEMORY
        if cycle < blocked_until.get(waits_for[cycle], 0):
            return SliceCause.RESULTS
        if not self._moves(cycle):
            return SliceCause.CLOCK
        return SliceCause.HEAT if self._halted(cycle) else SliceCause.ACTIVATION
