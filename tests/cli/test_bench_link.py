import pytest


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--errors", "nan"), "--errors must be from 0 to below 0.0256"),
        (("--errors", "0.5"), "--errors must be from 0 to below"),
        (("--bursts", "-1"), "--bursts must be from 0 to below 0.5, not -1"),
        (("--outages", "inf"), "--outages must be from 0 to below 0.5, not inf"),
        (("--window", "12"), "window must be a power of two, not 12"),
        (("--checksum-bits", "8"), "checksum_bits"),
        (("--json", "/nowhere/f.json"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "link", *options)
    assert complaint in result.complaint
    assert result.out == ""
