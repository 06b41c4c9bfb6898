"""The vector blocks: values against the integer reference, cycles against their latency."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from neardecode.config import Compute, Config, Vector
from neardecode.config.vector import NORM_WEIGHT_BITS
from neardecode.vector.finish import SoftmaxFinish
from neardecode.vector.gate import GatePairs, SiluGate
from neardecode.vector.inverse import Factor
from neardecode.vector.norm import Normalise, RootMeanSquare, WeightedElements
from neardecode.vector.quantiser import Quantiser, ScaledBlock
from neardecode.vector.residual import AccumulatorWords, Addends, ResidualAdd
from neardecode.vector.rotation import Pairs, Rotation
from neardecode.vector.stages import Elements, Words
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.reference import arithmetic
from neardecode_testbench.reference.arithmetic.norm import sum_of_squares
from neardecode_testbench.reference.arithmetic.reciprocal import reciprocal_root
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing, Recorder
from neardecode_testbench.scenarios.blocks.stages import Row, StagedRows
from neardecode_testbench.scenarios.packing import Packer

CONFIG = Config()
VECTOR, COMPUTE = CONFIG.vector, CONFIG.compute
NARROW = Config(
    compute=Compute(accumulator_bits=32, fraction_bits=12, blocks_a_row=64),
    vector=Vector(
        word_bits=20,
        word_fraction_bits=12,
        residual_fraction_bits=13,
        gated_fraction_bits=8,
        norm_elements=64,
    ),
)
CONFIGS = {"default": CONFIG, "narrow": NARROW}
EPSILON = 94_372


@dataclass
class Case:
    """A block, its rows and what it needs beside them."""

    block: object
    rows: list[Row]
    heads: str | None = None
    kept: bool = False
    levels: dict[str, int] | None = None

    def scenario(self, pacing=None):
        streams = ("i", "o") if self.heads is None else ("i", "o", self.heads)
        return StagedRows(
            self.rows,
            self.block.latency,
            self.heads,
            self.kept,
            self.levels or {},
            pacing or Pacing(),
            Recorder(streams),
        )


def draw(random, shape, bits):
    """Integers of every size, and those at the ends of the width."""
    limit = (1 << bits - 1) - 1
    numbers = random.integers(-limit - 1, limit + 1, shape) >> random.integers(0, bits, shape)
    ends = random.random(shape)
    numbers = np.where(ends < 0.03, limit, np.where(ends > 0.97, -limit - 1, numbers))
    return np.where(np.abs(ends - 0.5) < 0.02, 0, numbers)


def transfers(numbers, lanes):
    return np.asarray(numbers).reshape(-1, lanes)


def words_out(config, words, lanes):
    packer = Packer(Words(config.vector.word_bits, lanes))
    values, saturated = transfers(words.values, lanes), transfers(words.saturated, lanes)
    return [
        packer.pack(
            {
                "values": value,
                "saturated": sum(int(bit) << lane for lane, bit in enumerate(bits)),
                "last": index == len(values) - 1,
            }
        )
        for index, (value, bits) in enumerate(zip(values, saturated, strict=True))
    ]


def packed(layout, lanes, fields, **constant):
    """One payload a transfer, of fields that each have so many elements a transfer."""
    packer = Packer(layout)
    columns = {name: transfers(values, per) for name, (values, per) in fields.items()}
    count = len(next(iter(columns.values())))
    return [
        packer.pack(
            {name: column[index] for name, column in columns.items()}
            | {"last": index == count - 1}
            | constant
        )
        for index in range(count)
    ]


def residual_add(config, lanes, random, lengths):
    rows = []
    for length in lengths:
        residual = draw(random, length, config.vector.word_bits)
        added = draw(random, length, config.compute.accumulator_bits)
        result = arithmetic.add_residual(
            residual, added, config.compute.fraction_bits, config.vector
        )
        fields = {"residual": (residual, lanes), "accumulators": (added, lanes)}
        inputs = packed(Addends(config, lanes), lanes, fields)
        rows.append(Row(inputs, words_out(config, result, lanes)))
    return Case(ResidualAdd(config, lanes), rows)


def accumulator_words(config, lanes, random, lengths):
    rows = []
    bits = config.compute.accumulator_bits
    for length in lengths:
        numbers = draw(random, length, bits)
        result = arithmetic.to_words(
            numbers,
            config.compute.fraction_bits,
            config.vector.word_fraction_bits,
            config.vector.word_bits,
        )
        inputs = packed(Elements(bits, lanes), lanes, {"values": (numbers, lanes)})
        rows.append(Row(inputs, words_out(config, result, lanes)))
    return Case(AccumulatorWords(config, lanes), rows)


def rotation(config, lanes, random, lengths):
    lanes = max(lanes, 2)
    rows = []
    tables = [
        arithmetic.turns([random.integers(8192)], 64, 1e5, scale)
        for scale in (1.0, arithmetic.query_scale(64))
    ]
    key, query = tables
    for number, length in enumerate(lengths):
        table = tables[number % 2]
        values = draw(random, length, config.vector.word_bits)
        places = random.integers(0, 32, length // 2)
        cosines, sines = table.cosines[0, places], table.sines[0, places]
        result = arithmetic.rotate(values, cosines, sines, table.fraction_bits, config.vector)
        fields = {
            "values": (values, lanes),
            "cosines": (cosines, lanes // 2),
            "sines": (sines, lanes // 2),
        }
        inputs = packed(Pairs(config, lanes), lanes, fields, key=table is key)
        rows.append(Row(inputs, words_out(config, result, lanes)))
    return Case(Rotation(config, key.fraction_bits, query.fraction_bits, lanes), rows)


def silu_gate(config, lanes, random, lengths):
    rows = []
    for length in lengths:
        gates, ups = draw(random, (2, length), config.vector.word_bits)
        # Where the sigmoid is neither 0 nor 1.
        usual = random.random(length) < 0.6
        one = 1 << config.vector.word_fraction_bits
        gates = np.where(usual, random.integers(-12 * one, 12 * one, length), gates)
        result = arithmetic.gate(gates, ups, config.vector)
        fields = {"gates": (gates, lanes), "ups": (ups, lanes)}
        inputs = packed(GatePairs(config, lanes), lanes, fields)
        rows.append(Row(inputs, words_out(config, result, lanes)))
    return Case(SiluGate(config, lanes), rows)


def root_mean_square(config, lanes, random, lengths):
    block = RootMeanSquare(config, lanes)
    packer = Packer(Factor(block.exponent_bits))
    rows = []
    for number, length in enumerate(lengths):
        bits = config.vector.word_bits
        values = draw(random, length, bits) if number % 2 else draw(random, length, 14)
        if number == 4:
            values = np.full(length, -(1 << bits - 1))
        if number == 5:
            values = np.zeros(length, np.int64)
        factor = reciprocal_root(sum_of_squares(values) + EPSILON)
        inputs = packed(Elements(bits, lanes), lanes, {"values": (values, lanes)})
        output = packer.pack({"value": factor.value, "exponent": factor.exponent})
        rows.append(Row(inputs, [None] * (len(inputs) - 1) + [output]))
    return Case(block, rows, levels={"epsilon": EPSILON})


def normalise(config, lanes, random, lengths):
    exponent_bits = RootMeanSquare(config).exponent_bits
    block = Normalise(config, exponent_bits, lanes)
    packer = Packer(Factor(exponent_bits))
    rows = []
    for number, length in enumerate(lengths):
        bits = config.vector.word_bits
        values = draw(random, length, bits) if number % 2 else draw(random, length, 14)
        weights = draw(random, length, NORM_WEIGHT_BITS)
        epsilon = EPSILON if number % 3 else 1
        fraction_bits = int(random.integers(0, 31))
        factor = reciprocal_root(sum_of_squares(values) + epsilon)
        result = arithmetic.rms_norm(values, weights, fraction_bits, epsilon, config.vector)
        fields = {"values": (values, lanes), "weights": (weights, lanes)}
        inputs = packed(WeightedElements(config, lanes), lanes, fields, fraction_bits=fraction_bits)
        head = packer.pack({"value": factor.value, "exponent": factor.exponent})
        rows.append(Row(inputs, words_out(config, result, lanes), head))
    return Case(block, rows, "factors")


def softmax_finish(config, lanes, random, lengths):
    rows = []
    bits, vector = config.compute.accumulator_bits, config.vector
    for length in lengths:
        numbers = draw(random, length, min(bits, 46))
        least = 1 << vector.sum_fraction_bits - 1
        total = int(random.choice([least, least + 1, (1 << vector.sum_bits) - 1, 3 * least]))
        result = arithmetic.finish(
            numbers, np.int64(total), config.compute.fraction_bits, config.vector
        )
        inputs = packed(Elements(bits, lanes), lanes, {"values": (numbers, lanes)})
        rows.append(Row(inputs, words_out(config, result, lanes), total))
    return Case(SoftmaxFinish(config, lanes), rows, "totals", kept=True)


def quantiser(config, lanes, random, lengths, element_bits=12):
    bits, fraction_bits = config.vector.word_bits, 9
    packer = Packer(ScaledBlock(element_bits))
    rows = []
    for number, length in enumerate(lengths):
        values = draw(random, length, bits) >> random.integers(0, bits)
        if number == 3:
            values = np.zeros(length, np.int64)
        blocks = arithmetic.pack_blocks(values, fraction_bits, element_bits)
        inputs = packed(Elements(bits, lanes), lanes, {"values": (values, lanes)})
        a_block = 32 // lanes
        outputs = [None] * len(inputs)
        for block in range(blocks.blocks):
            end = min((block + 1) * a_block, len(inputs)) - 1
            outputs[end] = packer.pack(
                {
                    "elements": blocks.elements[block],
                    "exponent": blocks.exponents[block],
                    "last": block == blocks.blocks - 1,
                }
            )
        rows.append(Row(inputs, outputs))
    return Case(Quantiser(config, element_bits, fraction_bits, lanes), rows)


def key_quantiser(config, lanes, random, lengths):
    return quantiser(config, lanes, random, lengths, 8)


MAKERS = {
    maker.__name__: maker
    for maker in (
        residual_add,
        accumulator_words,
        rotation,
        silu_gate,
        root_mean_square,
        normalise,
        softmax_finish,
        quantiser,
        key_quantiser,
    )
}
LENGTHS = (8, 64, 40, 32, 16, 24, 8, 56)

every_block = pytest.mark.parametrize("name", MAKERS)


@cache
def case(name, config="default", lanes=1, seed=1, lengths=LENGTHS):
    return MAKERS[name](CONFIGS[config], lanes, np.random.default_rng(seed), lengths)


def run(case, pacing=None):
    return play(case.block, case.scenario(pacing))


@every_block
def test_full_rate_gives_a_result_with_its_latency(name):
    made = case(name)
    inputs, outputs = run(made)
    # Rows with something of their own that is kept wait a cycle for it.
    gaps = set(np.diff(inputs).tolist())
    assert gaps == ({1, 2} if made.kept else {1})
    given = [cycle for cycle, out in zip(inputs, _outputs(made), strict=True) if out is not None]
    assert outputs == [cycle + made.block.latency for cycle in given]


def _outputs(made):
    return [output for row in made.rows for output in row.outputs]


@every_block
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_values_and_cycles_hold_under_random_stalls(name, share):
    run(case(name, seed=2), Pacing(4, share))


@every_block
@pytest.mark.parametrize("lanes", [2, 8])
def test_lanes_change_the_rate_and_no_value(name, lanes):
    run(case(name, lanes=lanes, seed=3), Pacing(5, 0.3))


@every_block
def test_narrow_words(name):
    run(case(name, "narrow", seed=4), Pacing(6, 0.3))


@every_block
def test_a_reset_in_the_middle_leaves_nothing_behind(name):
    made = case(name, seed=5)
    cut = CutOff(made.scenario(Pacing(1, 0.4)), 70)
    play_after_reset(made.block, cut, made.scenario(Pacing(2, 0.4)))


@pytest.mark.parametrize("lanes", [0, 3, -2, 1.5])
@pytest.mark.parametrize(
    "make",
    [
        lambda lanes: ResidualAdd(CONFIG, lanes),
        lambda lanes: AccumulatorWords(CONFIG, lanes),
        lambda lanes: Rotation(CONFIG, 14, 17, lanes),
        lambda lanes: SiluGate(CONFIG, lanes),
        lambda lanes: RootMeanSquare(CONFIG, lanes),
        lambda lanes: Normalise(CONFIG, 6, lanes),
        lambda lanes: SoftmaxFinish(CONFIG, lanes),
        lambda lanes: Quantiser(CONFIG, 12, 20, lanes),
    ],
)
def test_refuses_lanes_that_are_no_power_of_two(make, lanes):
    with pytest.raises(ValueError, match=f"lanes must be a power of two, not {lanes}"):
        make(lanes)
