"""The integer functions of softmax and of the vector unit, exact to the bit."""

from neardecode_testbench.reference.arithmetic.fixed import (
    Words,
    clamp,
    pack_blocks,
    shift_rounded,
    to_words,
)
from neardecode_testbench.reference.arithmetic.gate import gate, sigmoid
from neardecode_testbench.reference.arithmetic.norm import (
    norm_epsilon,
    norm_weights,
    rms_norm,
)
from neardecode_testbench.reference.arithmetic.reciprocal import reciprocal, reciprocal_root
from neardecode_testbench.reference.arithmetic.residual import add_residual
from neardecode_testbench.reference.arithmetic.rotation import query_scale, rotate, turns
from neardecode_testbench.reference.arithmetic.softmax import (
    Merge,
    Partial,
    SoftmaxFormat,
    Tile,
    finish,
    merge,
    scores_of,
    softmax_row,
    softmax_tile,
    weighted_sum,
)

__all__ = [
    "Merge",
    "Partial",
    "SoftmaxFormat",
    "Tile",
    "Words",
    "add_residual",
    "clamp",
    "finish",
    "gate",
    "merge",
    "norm_epsilon",
    "norm_weights",
    "pack_blocks",
    "query_scale",
    "reciprocal",
    "reciprocal_root",
    "rms_norm",
    "rotate",
    "scores_of",
    "shift_rounded",
    "sigmoid",
    "softmax_row",
    "softmax_tile",
    "to_words",
    "turns",
    "weighted_sum",
]
