"""A host that decodes through registers alone: program, doorbell, interrupt, tokens, counters."""

from dataclasses import dataclass

from neardecode.config import Config, descriptor_bits
from neardecode.decoder.registers import Control, Doorbell, Interrupt, Register, Status
from neardecode.token_chips import system_counter_names
from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.reference.compiler import compile_model
from neardecode_testbench.scenarios.host_port import Host
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.token_memories import token_memories

__all__ = ["HostDecode", "HostRun"]

WORD_BITS = 32
POLL_CYCLES = 500


@dataclass
class HostRun:
    """What a host knows at the end.

    Attributes:
        tokens: Found.
        status: Bits of `Status`.
        position: Of the token that would be next.
        counts: By name.
    """

    tokens: list[int]
    status: int
    position: int
    counts: dict[str, int]


@dataclass
class HostDecode:
    """Loads the program, rings the doorbell for a prompt, and reads what was found.

    Attributes:
        config: The board's configuration.
        source: The model; loaded where the scenario runs.
        prompt: Token ids.
        count: Tokens to find.
        context: Tokens to make room for.
        polls: Most times that it looks for a token.
    """

    config: Config
    source: ModelSource
    prompt: list[int]
    count: int
    context: int = 64
    polls: int = 1000

    def __call__(self, step: Step) -> HostRun:
        """Runs on whatever simulator takes the steps.

        Raises:
            TimeoutError: if a token does not come.
        """
        shape, weights = self.source.integer_weights()
        images = [
            compile_model(shape, weights, self.config, self.context, chip)
            for chip in range(self.config.chips)
        ]
        host = Host(step, token_memories(self.config, images))
        words = -(-sum(descriptor_bits(self.config).values()) // WORD_BITS)
        host.write(Register.PLACE, 0)
        for chip, image in enumerate(images):
            if len(images) > 1:
                host.write(Register.CHIP, chip)
            for descriptor in image.program:
                for word in range(words):
                    part = descriptor >> WORD_BITS * word & (1 << WORD_BITS) - 1
                    host.write(Register.DESCRIPTOR + 4 * word, part)
        host.write(Register.GENERATE, self.count)
        host.write(Register.CONTROL, Control.RUN | Control.COUNT)
        for place, token in enumerate(self.prompt):
            first = Doorbell.FIRST if place == 0 else 0
            last = Doorbell.LAST if place == len(self.prompt) - 1 else 0
            host.write(Register.DOORBELL, token | first | last)
        tokens: list[int] = []
        polls = 0
        while len(tokens) < self.count:
            if not host.read(Register.INTERRUPTS) & Interrupt.FOUND:
                polls += 1
                if polls > self.polls:
                    raise TimeoutError(f"{len(tokens)} of {self.count} tokens came")
                host.wait(POLL_CYCLES)
                continue
            host.write(Register.INTERRUPTS, Interrupt.FOUND)
            while host.read(Register.STATUS) & Status.FOUND:
                tokens.append(host.read(Register.TOKEN))
        while not host.read(Register.STATUS) & Status.IDLE:
            host.wait(POLL_CYCLES)
        host.write(Register.CONTROL, Control.RUN)
        counts = {}
        for place, name in enumerate(system_counter_names(self.config)):
            host.write(Register.COUNTER, place)
            low = host.read(Register.COUNT_LOW)
            counts[name] = host.read(Register.COUNT_HIGH) << WORD_BITS | low
        return HostRun(tokens, host.read(Register.STATUS), host.read(Register.POSITION), counts)
