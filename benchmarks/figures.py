"""Computes answers from samples: medians, ratios, and the spread of the ratios of single rounds.

The samples of one round are taken directly after each other, so a slow change of the machine, over minutes, does not
affect the ratio of a round. The spread shows the effect of changes over seconds.
"""

from __future__ import annotations

from statistics import median

from benchmarks.model import OURS, Answer, Better, Figure, Samples


def answer(figure: Figure, samples: Samples) -> Answer:
    """Return the answer for `figure`. `samples` has the samples of each contender."""
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
