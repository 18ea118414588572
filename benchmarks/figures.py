"""From samples to answers: medians, ratios, and how far the ratios of single rounds lie apart.

The samples of one round were taken right after each other, so a ratio within a round is not disturbed by what the
machine does over minutes; the spread shows by what it does over seconds.
"""

from __future__ import annotations

from statistics import median

from benchmarks.model import OURS, Answer, Better, Figure, Samples


def answer(figure: Figure, samples: Samples) -> Answer:
    """Return the numbers of `figure`."""
    who = {OURS: figure.ours, **figure.peers}
    values = {name: [measures[figure.measure] for measures in samples[contender]] for name, contender in who.items()}
    ours = values[OURS]
    spreads = {}
    for name in figure.peers:
        rounds = [_ratio(mine, theirs, figure.better) for mine, theirs in zip(ours, values[name], strict=True)]
        spreads[name] = (min(rounds), max(rounds))
    peers = {name: median(values[name]) for name in figure.peers}
    ratios = {name: _ratio(median(ours), value, figure.better) for name, value in peers.items()}
    return Answer(figure, median(ours), peers, ratios, spreads, values)


def _ratio(ours: float, peer: float, better: Better) -> float:
    return ours / peer if better == "higher" else peer / ours
