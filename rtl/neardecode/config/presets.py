"""Configurations with names."""

from neardecode.config.compute import Compute
from neardecode.config.decoder import Decoder
from neardecode.config.fabric import Fabric
from neardecode.config.flash import Ecc, Flash, Host, Repair
from neardecode.config.models import Config, Decode
from neardecode.config.stack import Heat, Stack

__all__ = ["PRESETS"]

PRESETS: dict[str, Config] = {
    # Small enough for Amaranth's own simulator and for the unit tests.
    "tiny": Config(
        flash=Flash(
            channels=2, dies=1, banks_a_die=4, page_bytes=1024, pages_a_bank=64, sense_ns=50.0
        ),
        compute=Compute(blocks_a_row=8, rows=256, accumulator_bits=40),
        fabric=Fabric(buffer_flits=4),
        decode=Decode(model="random", context=64, backend="amaranth"),
    ),
    # SmolLM2 on the native runner: a KV head to a channel, and a channel over.
    "demo": Config(flash=Flash(channels=4)),
    # A token decoder at its smallest, and one for SmolLM2, whose KV cache is in one vault.
    "decoder-tiny": Config(
        flash=Flash(
            channels=2, dies=1, banks_a_die=4, page_bytes=1024, pages_a_bank=256, sense_ns=50.0
        ),
        compute=Compute(formats=("Q8_0",), blocks_a_row=16, rows=256),
        fabric=Fabric(buffer_flits=4),
        stack=Stack(vaults=2, page_bytes=1024, bank_groups=2, banks_a_group=2, pages_a_bank=256),
        decoder=Decoder(
            lanes=8,
            width=256,
            words=512,
            activation_blocks=16,
            descriptors=64,
            group=2,
            table_beats=16,
        ),
        decode=Decode(model="random", context=64),
    ),
    "decoder-demo": Config(
        flash=Flash(channels=4, sense_ns=2500.0),
        # A layer's share of four chips is a quarter of the pages that 64 banks sense at once.
        compute=Compute(formats=("Q4_1", "Q8_0"), blocks_a_row=64, rows=16384, commands_ahead=16),
        stack=Stack(vaults=1, banks_a_group=4, pages_a_bank=65536, queue=8),
        decoder=Decoder(prefetch=16),
        decode=Decode(threads=2),
    ),
    # One HBF stack at the paper's 1638.4 GB/s, banks as in the address example of section 4.6.
    "hbf16": Config(flash=Flash(channels=16)),
    # The same with the 16 banks a channel of the specification's Table 3.
    "hbf16-16banks": Config(flash=Flash(channels=16, dies=1, pages_a_bank=524288)),
    # One channel of it with all that its host sees: port, code of 64 errors, spare lanes.
    "hbf-channel": Config(
        flash=Flash(ecc=Ecc(), repair=Repair(), host=Host(reads=256, writes=256))
    ),
    # An HBM3-like stack: eight vaults of two of its channels, 819.2 GB/s.
    "stack": Config(stack=Stack(heat=Heat())),
    # 3.28 TB/s inside the stack, by more TSVs rather than faster ones.
    "stack-3tbs": Config(stack=Stack(vaults=32, heat=Heat())),
}
