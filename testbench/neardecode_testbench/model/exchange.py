"""What the chips of one model send to each other, and over which links."""

from neardecode.config import Config
from neardecode_testbench.model.shapes import Shape

__all__ = ["exchanged_bits", "hop_cycles"]


def hop_cycles(config: Config, hop_ns: float | None = None) -> int:
    """Registers of a link between two chips: the configuration's, or of another latency."""
    if hop_ns is not None:
        return config.cycles(hop_ns)
    protection = config.fabric.chip_protection
    # A node takes a cycle beside its link, and a protected one waits for its like another.
    return config.fabric.chip_link_latency if protection is None else protection.unit_latency + 1


def exchanged_bits(shape: Shape, config: Config) -> int:
    """Bits that leave a chip for the messages of a token.

    A layer's are two vectors that are added up, and where chips share the context its keys, values
    and queries, and of each KV head the maxima of every chip and the sums behind them. The last
    message has every chip's token.
    """
    decoder, chips = config.decoder, config.chips
    assert decoder is not None
    if chips == 1:
        return 0
    a_layer = 2 * shape.width // decoder.lanes
    if config.context_chips > 1:
        a_layer += (shape.heads + 2 * shape.kv_heads) * shape.head_size // decoder.lanes
        a_layer += shape.kv_heads * (chips + shape.head_size + 1)
    transfers = shape.layers * a_layer + chips
    return transfers * decoder.lanes * config.compute.accumulator_bits
