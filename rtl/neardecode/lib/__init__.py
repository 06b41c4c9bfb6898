"""Cells that every block is built of: streams, credits, arbitration, counting, number formats."""

from .arbiter import RoundRobin
from .blockformat import (
    E8M0_BIAS,
    Fp16Number,
    PackBlock,
    PackedBlock,
    UnpackElements,
    UnpackFp16,
)
from .counters import CycleCounters, EventCounters
from .credit import CreditInterface, CreditReceiver, CreditSender, CreditSignature
from .fifo import StreamFIFO
from .flit import FlitKind, FlitLayout, HeaderLayout
from .pipe import CreditPipe
from .register import RegisterSlice

__all__ = [
    "E8M0_BIAS",
    "CreditInterface",
    "CreditPipe",
    "CreditReceiver",
    "CreditSender",
    "CreditSignature",
    "CycleCounters",
    "EventCounters",
    "FlitKind",
    "FlitLayout",
    "Fp16Number",
    "HeaderLayout",
    "PackBlock",
    "PackedBlock",
    "RegisterSlice",
    "RoundRobin",
    "StreamFIFO",
    "UnpackElements",
    "UnpackFp16",
]
