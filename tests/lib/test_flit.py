import pytest
from amaranth.hdl import Shape, Signal

from neardecode.lib import FlitKind, FlitLayout, TrafficClass


def test_has_the_fields_of_a_flit_in_order():
    layout = FlitLayout(64, 5, 2)
    widths = {name: field.width for name, field in layout}
    assert widths == {
        "vc": 1,
        "traffic_class": 1,
        "source": 3,
        "destination": 3,
        "kind": 4,
        "head": 1,
        "tail": 1,
        "payload": 64,
    }
    assert list(widths)[-1] == "payload"
    assert layout.size == sum(widths.values())
    assert (layout.payload_bits, layout.endpoints, layout.virtual_channels) == (64, 5, 2)


def test_spends_no_bits_on_one_endpoint_or_one_virtual_channel():
    layout = FlitLayout(8, 1, 1)
    assert layout["vc"].width == layout["source"].width == layout["destination"].width == 0


def test_layouts_of_the_same_parameters_are_equal():
    assert FlitLayout(endpoints=4) == FlitLayout(64, 4, 1)
    assert FlitLayout(endpoints=4) != FlitLayout(endpoints=16)


def test_names_kinds_and_classes():
    flit = Signal(FlitLayout(endpoints=4))
    assert flit.kind.shape() is FlitKind
    assert flit.traffic_class.shape() is TrafficClass
    constant = FlitLayout(endpoints=4).const(
        {"kind": FlitKind.RESULT, "traffic_class": TrafficClass.BULK, "payload": 3}
    )
    assert constant.payload == 3
    assert Shape.cast(FlitKind).width == 4


@pytest.mark.parametrize("parameter", ["payload_bits", "endpoints", "virtual_channels"])
@pytest.mark.parametrize("number", [0, -1, 1.5, "4", None])
def test_refuses_a_number_that_is_no_positive_integer(parameter, number):
    with pytest.raises(ValueError, match=f"{parameter} must be a positive integer, not {number!r}"):
        FlitLayout(**{parameter: number})
