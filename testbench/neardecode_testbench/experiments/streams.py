"""Rates of memories by the model, and what a link between chips takes."""

from functools import cache

from neardecode.config import Config, Stack
from neardecode_testbench.model.vault import PageRead, Vault

__all__ = ["PAGES", "chip_hop_ns", "vault_rate"]

PAGES = 1000
"""Pages that a vault streams for its rate: some ten refresh intervals."""


def vault_rate(config: Config) -> float:
    """Beats that a vault gives in a cycle to a reader that asks for page after page.

    Counted from when no more refreshes can be postponed.
    """
    assert config.stack is not None
    return _rate(config.stack.model_copy(update={"vaults": 1}).model_dump_json(), config.clock_ghz)


@cache
def _rate(section: str, clock_ghz: float) -> float:
    config = Config(stack=Stack.model_validate_json(section), clock_ghz=clock_ghz)
    stack, cycles = config.stack, config.stack_cycles
    assert stack is not None
    vault = Vault(stack, cycles)
    read = PageRead(0, PAGES, 0)
    vault.attends.append(read)
    vault.run_out(read)
    warm = (stack.postponed + 2) * cycles.refi
    beats = [beat for beat in read.beats if beat >= warm]
    return (len(beats) - 1) / (beats[-1] - beats[0])


def chip_hop_ns(config: Config) -> float:
    """What a configuration's link between two chips takes, each way."""
    return config.fabric.chip_link_latency / config.clock_ghz
