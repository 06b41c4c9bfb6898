"""What a chip's memories and slices could do, and what a token makes of them."""

from typing import Any

from neardecode.config import BLOCK_ELEMENTS, Config
from neardecode_testbench.model.bound import Bound
from neardecode_testbench.model.fit import Fitted

__all__ = ["roofline", "roofs"]


def roofs(config: Config) -> dict[str, Any]:
    """Bytes a second of each memory, and operations a second of the slices behind it, of a chip.

    An operation is a multiplication or an addition.
    """
    decoder, stack = config.decoder, config.stack
    assert decoder is not None
    assert stack is not None
    clock = config.clock_ghz * 1e9
    flash = config.flash.channels * config.flash.beat_bytes * clock
    found = {"flash buses": flash}
    if config.utilisation_bound < 1:
        found["tR and banks"] = flash * config.utilisation_bound
    found["vaults"] = stack.vaults * stack.beat_bytes * clock
    products = {
        "slices of the flash": config.flash.channels * config.weight_layouts[0].blocks_a_beat,
        "slices of the vaults": stack.vaults * config.kv_layout.blocks_a_beat * decoder.group,
    }
    return {
        "bytes_a_second": found,
        "operations_a_second": {
            name: 2 * blocks * BLOCK_ELEMENTS * clock for name, blocks in products.items()
        },
    }


def roofline(fitted: Fitted, rows: int, bound: Bound, cycles: float) -> dict[str, Any]:
    """Where a token's matrices and its attention lie under the roofs of a chip.

    Args:
        fitted: The model on a configuration.
        rows: Tokens that it attends to.
        bound: Its bytes.
        cycles: What it takes.
    """
    config, shape = fitted.config, fitted.shape
    seconds = cycles / (config.clock_ghz * 1e9)
    blocks = sum(
        (matrix.rows * config.flash.channels + matrix.extra) * matrix.blocks
        for matrix in fitted.program.matrices
    )
    of_chip = -(-rows // config.context_chips) * config.context_chips / fitted.chips
    attention = 4 * shape.layers * shape.heads * shape.head_size * of_chip
    points = {
        "weights": (2 * blocks * BLOCK_ELEMENTS, bound.flash_bytes),
        "keys and values": (attention, bound.kv_bytes),
    }
    return {
        **roofs(config),
        "points": {
            name: {
                "operations_a_byte": operations / count,
                "operations_a_second": operations / seconds,
            }
            for name, (operations, count) in points.items()
        },
    }
