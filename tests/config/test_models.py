import math

import pytest
from pydantic import ValidationError

from neardecode.config import PRESETS, Compute, Config, Decode, Fabric, Flash, dumps, loads


def test_hbf16_has_the_bandwidth_and_capacity_of_its_source():
    config = PRESETS["hbf16"]
    assert config.bandwidth_gbs == pytest.approx(1638.4, rel=1e-12)
    flash = config.flash
    assert flash.channels * flash.pages * flash.page_bytes == 512 * 2**30


def test_hbf16_senses_for_6400_cycles_and_fills_64_percent_of_its_bus():
    config = PRESETS["hbf16"]
    assert config.sense_cycles == 6400
    assert config.utilisation_bound == pytest.approx(0.64, rel=1e-12)


def test_the_16_bank_preset_has_the_same_capacity_and_a_quarter_of_the_bound():
    config, whole = PRESETS["hbf16-16banks"], PRESETS["hbf16"]
    assert config.flash.banks == 16
    assert config.flash.pages == whole.flash.pages
    assert config.bandwidth_gbs == whole.bandwidth_gbs
    assert config.utilisation_bound == pytest.approx(0.16, rel=1e-12)


def test_the_bound_is_never_above_one():
    assert Config(flash=Flash(sense_ns=10.0)).utilisation_bound == 1.0


def test_derived_sizes_of_the_flash():
    flash = Flash(dies=2, banks_a_die=8, pages_a_bank=32, page_bytes=2048, beat_bytes=128)
    assert (flash.banks, flash.pages, flash.page_beats) == (16, 512, 16)


@pytest.mark.parametrize(
    ("nanoseconds", "cycles"),
    [(4000.0, 6400), (0.625, 1), (0.626, 2), (0.1, 1), (1.25, 2), (1.25 + 1e-9, 2), (1.26, 3)],
)
def test_times_become_cycles_rounded_up_but_not_for_a_rounding_error(nanoseconds, cycles):
    assert Config(clock_ghz=1.6).cycles(nanoseconds) == cycles


def test_a_term_leaves_the_sum_of_a_row_its_bits():
    compute = Compute(accumulator_bits=40, blocks_a_row=8, rows=256)
    assert compute.term_bits == 37
    row = compute.blocks_a_row * (1 << compute.term_bits - 1)
    assert row <= 1 << compute.accumulator_bits - 1


def test_a_result_has_row_value_two_flags_and_tag():
    assert Config().compute.result_bits == 16 + 48 + 2 + 16


def test_a_result_has_a_value_and_a_flag_a_vector():
    config = Config(compute=Compute(vectors=3), fabric=Fabric(payload_bits=180))
    assert config.compute.result_bits == 16 + 3 * 49 + 1 + 16
    with pytest.raises(ValidationError, match="result of 180 bits, not 179"):
        Config(compute=Compute(vectors=3), fabric=Fabric(payload_bits=179))


def test_a_term_of_a_sum_leaves_its_rows_their_bits():
    compute = Compute(accumulator_bits=40, rows=256, head_elements=64)
    assert compute.sum_term_bits == 32
    with pytest.raises(ValidationError, match="2 integer bits to a row's term"):
        Compute(accumulator_bits=37, rows=65536, head_elements=64)


def test_sums_are_of_mxint8():
    with pytest.raises(ValidationError, match="head_elements must be 0 where MXINT8 is not"):
        Compute(formats=("Q4_1",), head_elements=64)


def test_a_minimum_takes_a_bit_of_a_term():
    taken = Compute(formats=("Q4_0",), accumulator_bits=32)
    assert taken.term_bits == taken.fraction_bits + 2
    with pytest.raises(ValidationError, match="2 integer bits to a block's term"):
        Compute(formats=("Q4_1",), accumulator_bits=32)


def test_formats_go_through_toml_and_back():
    config = Config(compute=Compute(formats=("Q4_1", "MXINT8")))
    assert loads(dumps(config)) == config
    formats = [format_.name for format_ in config.compute.block_formats]
    assert formats == ["Q4_1", "MXINT8"]


def test_keys_lie_in_mxint8():
    layout = Config().kv_layout
    assert layout.format.name == "MXINT8"
    assert layout.blocks == 124


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_frozen(name):
    config = PRESETS[name]
    with pytest.raises(ValidationError, match="frozen"):
        config.clock_ghz = 1.0  # pyright: ignore[reportAttributeAccessIssue]
    for section in ("flash", "compute", "fabric", "decode"):
        part = getattr(config, section)
        for key in type(part).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(part, key, getattr(part, key))


@pytest.mark.parametrize("section", [Flash, Compute, Fabric, Decode, Config])
def test_every_key_says_what_it_is(section):
    for name, field in section.model_fields.items():
        assert field.description, name


# The edges of every range: the last value taken, the first refused.
RANGES = [
    ("", "clock_ghz", [1e-3, 10.0], [0.0, -1.0, 10.1, math.inf, math.nan]),
    ("flash", "channels", [1, 16], [0, 17]),
    ("flash", "dies", [1, 16], [0, 32]),
    ("flash", "banks_a_die", [1, 64], [0, 128]),
    ("flash", "pages_a_bank", [2], [1, 0]),
    ("flash", "sense_ns", [1.875, 1e6], [0.0, -5.0, 1e6 + 1, math.inf, math.nan, 1.25]),
    ("flash", "page_bytes", [256, 65536], [0, 128]),
    ("flash", "beat_bytes", [32, 1024], [0, 16, 2048]),
    ("compute", "activation_bits", [4, 16], [3, 17]),
    ("compute", "accumulator_bits", [32, 62], [31, 65]),
    ("compute", "fraction_bits", [0, 36], [-1, 37]),
    ("compute", "blocks_a_row", [2, 65536], [0, 1, 1 << 27]),
    ("compute", "rows", [1, 1 << 30], [0, 1 << 31]),
    ("compute", "vectors", [1], [0, 9]),
    ("compute", "head_elements", [0, 64, 1024], [-1, 32, 96, 192, 2048]),
    ("compute", "clock_divider", [1, 2, 4], [0, 3, 8]),
    ("compute", "selection", [True, False], [1, "yes"]),
    ("compute", "skip_zeros", [True, False], [1, "yes"]),
    ("compute", "near_memory", [True, False], [0, "no"]),
    ("off_stack", "pins", [16, 65536], [0, 65537, 1.5]),
    ("off_stack", "pin_gbit_s", [0.1, 128.0], [0.0, -1.0, 129.0, math.nan]),
    ("off_stack", "latency_ns", [0.1, 1000.0], [0.0, -1.0, 1001.0]),
    (
        *("compute", "formats"),
        [("Q4_1",), ("Q4_0", "Q4_1", "Q8_0", "MXINT8", "MXFP4")],
        [(), ("Q4_1", "Q4_1"), ("Q5_0",), "Q4_1"],
    ),
    ("fabric", "payload_bits", [82, 512], [63, 81, 513]),
    ("fabric", "buffer_flits", [1, 64], [0, 65]),
    ("fabric", "link_latency", [0, 64], [-1, 65]),
    ("decode", "context", [1], [0]),
]


def _with(section, key, value):
    return Config.model_validate({section: {key: value}} if section else {key: value})


@pytest.mark.parametrize(
    ("section", "key", "value"), [(s, k, v) for s, k, taken, _ in RANGES for v in taken]
)
def test_the_edges_of_a_range_are_taken(section, key, value):
    config = _with(section, key, value)
    assert getattr(getattr(config, section) if section else config, key) == value


@pytest.mark.parametrize(
    ("section", "key", "value"), [(s, k, v) for s, k, _, refused in RANGES for v in refused]
)
def test_what_lies_beyond_a_range_is_refused(section, key, value):
    with pytest.raises(ValidationError):
        _with(section, key, value)
