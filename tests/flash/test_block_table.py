"""The block table: records, replacement, retirement, zones and counts."""

import pytest
from amaranth.sim import Simulator

from neardecode.config import Flash, Host
from neardecode.flash.blocks import counts as counting
from neardecode.flash.blocks.counts import BlockCounts
from neardecode.flash.blocks.table import BlockTable
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.block_table import (
    BlockTableCycles,
    quiet_cycles,
    random_cycles,
    sweep_cycles,
)

BLOCK, BANK, DIE, CHANNEL = 1, 2, 3, 4
PAGES = 4


def configuration(dies=2, banks_a_die=2, blocks=8, spares=2, zones=4, units=4):
    return Flash(
        dies=dies,
        banks_a_die=banks_a_die,
        page_bytes=256,
        pages_a_bank=PAGES * blocks,
        host=Host(pages_a_block=PAGES, spare_blocks=spares, zones=zones, units=units),
    )


FLASH = configuration()


def run(*script, flash=FLASH, bank_limit=4):
    return play(BlockTable(flash, bank_limit), BlockTableCycles(flash, script, bank_limit))


def looked_up(*addresses, **other):
    """Looks at blocks one after another."""
    return [{"lookup": address, **other} for address in addresses] + [{}]


def records(outputs, count):
    """The answers to the last ``count`` looks."""
    return [seen["found"] for seen in outputs[-count:]]


def replacements(outputs, after):
    return [
        seen["replacement"]
        for seen in outputs[after:]
        if "replacement" in seen and seen["replaced"]
    ]


def replaced(*blocks):
    """Replaces blocks one after another; what came of each stands in the cycles after."""
    return [cycle for block in blocks for cycle in ({"replace": block}, {}, {}, {})]


def every_block(flash):
    return [(bank, block) for bank in range(flash.banks) for block in range(flash.blocks_a_bank)]


def test_after_the_sweep_every_block_lies_where_its_number_says():
    outputs = run(*looked_up(*every_block(FLASH)))
    expected = [(block, 0, 0, 0) for _, block in every_block(FLASH)]
    assert records(outputs, len(expected)) == expected
    assert outputs[-1]["reduced"] == 0
    assert sweep_cycles(FLASH) == 4 * (8 + 2)


def test_a_reset_forgets_everything():
    used = [
        *({"update": (bank, block, 3, 1)} for bank, block in every_block(FLASH)),
        *({"erased": (bank, 0, 0)} for bank in range(FLASH.banks)),
        *replaced(*[(1, block) for block in range(8)]),
        {"swap": (0, 3)},
        *({"sensed": (n % 4, row)} for n, row in enumerate(range(FLASH.rows))),
    ]
    again = [
        {"read_limit": 1},
        *looked_up(*every_block(FLASH)),
        *({"sensed": (n % 4, row)} for n, row in enumerate(range(0, FLASH.rows, PAGES))),
        *([{}] * quiet_cycles(FLASH)),
        {},
    ]
    outputs = play_after_reset(
        BlockTable(FLASH), BlockTableCycles(FLASH, used), BlockTableCycles(FLASH, again)
    )
    expected = [(block, 0, 0, 0) for _, block in every_block(FLASH)]
    assert [seen["found"] for seen in outputs if "found" in seen][: len(expected)] == expected
    assert {over for _, over in counted(outputs)} == {0}
    assert (outputs[-1]["maximum_erases"], outputs[-1]["average_erases"]) == (0, 0)


def test_a_look_sees_the_update_of_the_cycle_before_and_not_that_of_its_own():
    outputs = run(
        {"update": (1, 5, 3, 0), "lookup": (1, 5), "check": (1, 5)},
        {"update": (1, 5, 4, 1), "lookup": (1, 5), "check": (1, 5)},
        {"lookup": (1, 5), "check": (1, 5)},
        {},
    )
    expected = [(5, 0, 0, 0), (5, 3, 0, 0), (5, 4, 1, 0)]
    assert [seen["found"] for seen in outputs[1:]] == expected
    assert [seen["checked"] for seen in outputs[1:]] == expected


def test_an_answer_is_held_until_the_next_look():
    outputs = run({"lookup": (2, 6), "check": (1, 3)}, {"lookup": (0, 1)}, {}, {}, {})
    assert [seen["found"][0] for seen in outputs[1:]] == [6, 1, 1, 1]
    assert [seen["checked"][0] for seen in outputs[1:]] == [3, 3, 3, 3]


def test_a_bad_block_gets_the_spares_of_its_bank_in_their_order():
    outputs = run(
        {"update": (1, 5, 3, 1)},
        {"update": (1, 6, 2, 0)},
        *replaced((1, 5), (1, 5), (2, 0)),
        *looked_up((1, 5), (1, 6), (2, 0), (0, 5)),
    )
    assert replacements(outputs, 0) == [0, 0, 0]
    assert records(outputs, 4) == [(9, 0, 0, 0), (6, 2, 0, 0), (8, 0, 0, 0), (5, 0, 0, 0)]
    assert outputs[-1]["reduced"] == 0


def test_a_replacement_takes_three_cycles():
    outputs = run({"replace": (0, 0)}, {}, {}, {"lookup": (0, 0)}, {})
    assert [seen["replaced"] for seen in outputs] == [0, 0, 0, 1, 0]
    assert outputs[-1]["found"][0] == 8


def test_a_replacement_waits_for_scans_and_updates_and_disturbs_neither():
    outputs = run(
        {"replace": (0, 0)},
        *({"scan": (1, block)} for block in range(4)),
        {},
        *({"update": (1, block, 2, 0)} for block in range(4)),
        {},
        {},
        *looked_up(*[(1, block) for block in range(4)], (0, 0)),
    )
    assert [cycle for cycle, seen in enumerate(outputs) if seen["replaced"]] == [11]
    assert records(outputs, 5) == [*((block, 2, 0, 0) for block in range(4)), (8, 0, 0, 0)]


def test_without_a_spare_the_block_is_retired_and_others_are_not():
    outputs = run(
        *replaced((1, 0), (1, 1), (1, 2)),
        {"lookup": (1, 2), "check": (1, 1), "scan": (1, 2)},
        {"lookup": (2, 2), "scan": (1, 1)},
        {},
    )
    assert replacements(outputs, 0) == [0, 0, BLOCK]
    assert [seen["found"][3] for seen in outputs[-2:]] == [BLOCK, 0]
    assert [seen["scanned"] for seen in outputs[-2:]] == [BLOCK, 0]
    assert outputs[-2]["checked"] == (9, 0, 0, 0)
    assert outputs[-1]["reduced"] == 1


def test_to_retire_a_block_again_counts_it_once():
    outputs = run(*replaced((1, 0), (1, 1), *[(1, 2)] * 9), *looked_up((1, 2), (1, 3)))
    assert replacements(outputs, 0) == [0, 0, *[BLOCK] * 9]
    assert records(outputs, 2) == [(2, 0, 0, BLOCK), (3, 0, 0, 0)]


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_more_retired_blocks_than_the_limit_retire_the_bank(limit):
    bad = [(1, block) for block in range(2 + limit + 1)]
    outputs = run(*replaced(*bad), *looked_up((1, 7), (0, 7)), bank_limit=limit)
    assert replacements(outputs, 0) == [0, 0, *[BLOCK] * limit, BANK]
    assert records(outputs, 2) == [(7, 0, 0, BANK), (7, 0, 0, 0)]


def bad_banks(*banks):
    return [(bank, block) for bank in banks for block in range(4)]


def test_a_die_retires_with_all_its_banks_and_the_channel_with_all_dies():
    outputs = run(*replaced(*bad_banks(1, 0)), *looked_up((0, 7), (1, 7), (2, 7)), bank_limit=1)
    assert replacements(outputs, 0) == [0, 0, BLOCK, BANK, 0, 0, BLOCK, DIE]
    assert [record[3] for record in records(outputs, 3)] == [DIE, DIE, 0]

    outputs = run(
        *replaced(*bad_banks(1, 0, 2, 3)), *looked_up((0, 7), (2, 7), (3, 7)), bank_limit=1
    )
    assert replacements(outputs, 0)[8:] == [0, 0, BLOCK, BANK, 0, 0, BLOCK, CHANNEL]
    assert [record[3] for record in records(outputs, 3)] == [CHANNEL] * 3


def test_the_banks_of_two_dies_do_not_make_a_die():
    outputs = run(
        *replaced(*bad_banks(1, 2)), *looked_up(*[(b, 7) for b in range(4)]), bank_limit=1
    )
    assert [record[3] for record in records(outputs, 4)] == [0, BANK, BANK, 0]


def test_the_channel_is_retired_while_its_lanes_are():
    outputs = run(
        {"lookup": (1, 2)},
        {"retire_channel": 1},
        {"scan": (0, 3)},
        {},
        {"retire_channel": 0, "lookup": (1, 2)},
        {},
    )
    assert [seen["found"][3] for seen in outputs[1:]] == [CHANNEL, CHANNEL, CHANNEL, 0, 0]
    assert outputs[3]["scanned"] == CHANNEL
    assert [seen["reduced"] for seen in outputs] == [0, 1, 1, 1, 0, 0]


def test_two_zones_change_places_with_all_that_is_known_of_their_blocks():
    zone = FLASH.blocks_a_bank // 4
    outputs = run(
        {"update": (1, 0, 3, 1)},
        *replaced((1, 7)),
        {"swap": (0, 3), "lookup": (1, 0)},
        *looked_up((1, 0), (1, 1), (1, 3 * zone), (1, 3 * zone + 1), (1, 2)),
    )
    assert records(outputs, 5) == [
        *((6, 0, 0, 0), (8, 0, 0, 0)),
        *((0, 3, 1, 0), (1, 0, 0, 0)),
        (2, 0, 0, 0),
    ]
    assert outputs[-6]["found"] == (0, 3, 1, 0)


def test_zones_that_are_swapped_back_are_as_before():
    swaps = [{"swap": pair} for pair in ((0, 1), (1, 2), (2, 2), (1, 2), (1, 0))]
    outputs = run(*swaps, *looked_up(*[(0, block) for block in range(8)]))
    assert [record[0] for record in records(outputs, 8)] == list(range(8))


def test_updates_and_replacements_go_to_the_zone_where_a_block_lies_now():
    outputs = run(
        {"swap": (1, 2)},
        {"update": (0, 2, 4, 0)},
        *replaced((0, 3)),
        {"swap": (1, 2)},
        *looked_up((0, 2), (0, 3), (0, 4), (0, 5)),
    )
    assert records(outputs, 4) == [(2, 0, 0, 0), (3, 0, 0, 0), (4, 4, 0, 0), (8, 0, 0, 0)]


def counted(outputs):
    return [seen["counted"] for seen in outputs if seen["counted"] is not None]


def test_a_block_is_over_once_it_was_read_more_often_than_the_limit():
    sense = ({"sensed": (1, 9)}, {})
    outputs = run({"read_limit": 2}, *sense * 4, {"sensed": (1, 3)}, {}, {"sensed": (2, 9)}, {})
    assert counted(outputs) == [(1, 0), (1, 0), (1, 1), (1, 1), (1, 0), (2, 0)]
    assert [seen["counted"] is not None for seen in outputs[:4]] == [False, False, True, False]


def test_all_pages_of_a_block_count_and_an_erase_begins_anew():
    rows = [{"sensed": (3, row)} if half == 0 else {} for row in range(4, 8) for half in (0, 1)]
    quiet = [{}] * quiet_cycles(FLASH)
    outputs = run({"read_limit": 3}, *rows, {"erased": (3, 5, 0)}, *quiet, *rows, *rows)
    assert [over for _, over in counted(outputs)] == [0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1]


def test_spare_blocks_have_their_own_counts():
    rows = [32, 36, 39, 35]
    script = [cycle for row in rows for cycle in ({"sensed": (0, row)}, {})]
    outputs = run({"read_limit": 1}, *script, {"sensed": (0, 0)}, {})
    assert [over for _, over in counted(outputs)] == [0, 0, 1, 1, 0]


def test_erases_are_counted_by_their_maximum_and_their_average():
    quiet = [{}] * quiet_cycles(FLASH)
    script = []
    for n in range(70):
        script += [{"erased": (n % 4 if n < 40 else 2, 4 * (n % 10), 0)}, {}, {}]
    outputs = run(*script, *quiet, {})
    counts = {}
    for n in range(70):
        place = n % 4 if n < 40 else 2, n % 10
        counts[place] = counts.get(place, 0) + 1
    assert outputs[-1]["maximum_erases"] == max(counts.values()) > 2
    # 70 erases, 32 blocks that the host can address.
    assert outputs[-1]["average_erases"] == 2


def test_wear_is_told_by_block_and_by_zone():
    quiet = [{}] * quiet_cycles(FLASH)
    erased = [{"erased": (1, 4 * block + 1, block)} for block in (5, 5, 6, 5)]
    sensed = [
        {"sensed": (1, 4 * 5 + page)} if half == 0 else {} for page in range(3) for half in (0, 1)
    ]
    outputs = run(
        *(cycle for strobe in erased for cycle in (strobe, {}, {}, {}, {})),
        *quiet,
        *sensed,
        {"inspect": (1, 5)},
        {"inspect": (1, 6)},
        {"inspect": (2, 5)},
        *quiet,
        # A spare in the place of block 5, erased six times: nine erases of zone 2's eight blocks.
        *replaced((1, 5)),
        *(cycle for _ in range(6) for cycle in ({"erased": (1, 4 * 8, 5)}, {}, {}, {}, {})),
        *quiet,
        {"inspect": (1, 5)},
        *quiet,
        {"zone": 2},
        {"zone": 3, "swap": (2, 0)},
        {"zone": 0},
        {"zone": 2},
    )
    assert [seen["wear"] for seen in outputs if "wear" in seen] == [(3, 3), (0, 1), (0, 0), (0, 6)]
    assert [seen["zone_erases"] for seen in outputs[-4:]] == [1, 0, 1, 0]


def test_erases_in_a_row_wait_for_reads_and_none_is_lost():
    senses = [{"sensed": (n % 2, n % 32)} for n in range(40)]
    erases = [{"erased": (2 + n % 2, 4 * (n // 2), 0)} for n in range(4)]
    script = [a | b for a, b in zip(senses, erases + [{}] * 36, strict=True)]
    outputs = run(
        *([{"sensed": (2, 0)}, {}] * 5),
        *script,
        *([{}] * quiet_cycles(FLASH)),
        {"sensed": (2, 0), "read_limit": 0},
        {},
        {"sensed": (2, 0), "read_limit": 1},
        {},
        {"sensed": (2, 0), "read_limit": 3},
        {},
    )
    assert outputs[-6]["maximum_erases"] == 1
    assert counted(outputs)[-3:] == [(2, 1), (2, 1), (2, 0)]


def test_counts_stay_at_their_end(monkeypatch):
    monkeypatch.setattr(counting, "COUNT_BITS", 3)
    counts = BlockCounts(FLASH)
    overs, maxima = [], []

    async def bench(context):
        for _ in range(10):
            context.set(counts.sensed, {"en": 1, "bank": 1, "row": 4})
            context.set(counts.erased, {"en": 1, "bank": 2, "row": 8})
            await context.tick()
            context.set(counts.sensed.en, 0)
            context.set(counts.erased.en, 0)
            seen = []
            for limit in (6, 7):
                context.set(counts.read_limit, limit)
                seen.append(context.get(counts.counted.over))
            overs.append(tuple(seen))
            await context.tick().repeat(4)
            maxima.append(context.get(counts.maximum_erases))

    simulator = Simulator(counts)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert overs == [(0, 0)] * 6 + [(1, 0)] * 4
    assert maxima == [1, 2, 3, 4, 5, 6, 7, 7, 7, 7]


@pytest.mark.parametrize(
    "flash",
    [
        FLASH,
        configuration(dies=1, banks_a_die=8, blocks=4, spares=1, zones=4, units=2),
        configuration(dies=4, banks_a_die=1, blocks=16, spares=3, zones=2, units=8),
        configuration(dies=1, banks_a_die=1, blocks=2, spares=5, zones=2),
    ],
    ids=["2 dies", "8 banks", "4 dies", "1 bank"],
)
@pytest.mark.parametrize("seed", range(3))
def test_random_use_follows_the_model(flash, seed):
    script = random_cycles(seed, flash, stretches=12, busy=(0.5, 0.2, 0.9)[seed])
    outputs = run(*script, flash=flash, bank_limit=1 + seed)
    assert any(seen["reduced"] for seen in outputs)


@pytest.mark.parametrize("backend", ["native", "icarus"])
def test_other_simulators_see_the_same(backend):
    scenario = BlockTableCycles(FLASH, random_cycles(5, FLASH, stretches=6))
    assert simulate(Design(BlockTable, (FLASH,)), scenario, backend) == run(*scenario.script)


def test_refuses_a_configuration_without_a_host():
    with pytest.raises(ValueError, match="config must have host"):
        BlockTable(Flash())
    with pytest.raises(ValueError, match="config must have host"):
        BlockCounts(Flash())


@pytest.mark.parametrize("limit", [0, -1, 2.5, None])
def test_refuses_a_limit_that_is_no_positive_integer(limit):
    with pytest.raises(ValueError, match=f"bank_limit must be a positive integer, not {limit!r}"):
        BlockTable(FLASH, limit)
