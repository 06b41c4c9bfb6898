"""Latency-load curves as SVG."""

from collections.abc import Sequence

__all__ = ["curve_svg"]

_WIDTH, _HEIGHT, _MARGIN = 640, 400, 60


def curve_svg(title: str, points: Sequence[tuple[float, float]], zero_load: float) -> str:
    """Mean latency over offered load; latencies beyond ten times the zero-load one are cut.

    Args:
        title: Above the curve.
        points: (offered load, mean latency).
        zero_load: Latency without contention.
    """
    top = min(max((latency for _, latency in points), default=zero_load), 10 * zero_load)
    right = max((load for load, _ in points), default=1.0) or 1.0

    def x(load: float) -> float:
        return _MARGIN + load / right * (_WIDTH - 2 * _MARGIN)

    def y(latency: float) -> float:
        return _HEIGHT - _MARGIN - min(latency, top) / top * (_HEIGHT - 2 * _MARGIN)

    line = " ".join(f"{x(load):.1f},{y(latency):.1f}" for load, latency in points)
    ticks = [
        f'<text x="{x(right * step / 5):.0f}" y="{_HEIGHT - _MARGIN + 18}"'
        f' text-anchor="middle">{right * step / 5:.2f}</text>'
        for step in range(6)
    ] + [
        f'<text x="{_MARGIN - 8}" y="{y(top * step / 5) + 4:.0f}" text-anchor="end">'
        f"{top * step / 5:.0f}</text>"
        for step in range(6)
    ]
    bottom = _HEIGHT - _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
            ' font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="{_WIDTH / 2}" y="28" text-anchor="middle" font-size="14">{title}</text>',
            f'<path d="M{_MARGIN},{_MARGIN} V{bottom} H{_WIDTH - _MARGIN}" fill="none"'
            ' stroke="black"/>',
            f'<path d="M{_MARGIN},{y(zero_load):.1f} H{_WIDTH - _MARGIN}" stroke="gray"'
            ' stroke-dasharray="4"/>',
            f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>',
            *ticks,
            f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 14}" text-anchor="middle">'
            "offered load, flits a node and cycle</text>",
            f'<text transform="translate(16,{_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
            "mean latency, cycles</text>",
            "</svg>\n",
        ]
    )
