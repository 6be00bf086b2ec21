"""Ways of production that few worlds go are still gone."""

from collections import Counter

from penpay.simulation.paths import PATHS
from penpay.simulation.play import play
from penpay.simulation.world import Seed

LATE = ("deriv.credits_late", "deriv.executes_after_all")
UNTOLD = ("reversal.refused_untold", "reversal.unheard", "callback.lost", "payout.fails_for_good")
TAKEN = ("deriv.pays_another", "payout.fails_for_good")
SEEDS_MAX = 200
"""For each of them; most paths are met within thirty."""


def test_every_path_is_gone_by_some_world_that_knows_its_troubles():
    reached, wrong = Counter(), []
    for number in range(1, SEEDS_MAX + 1):
        for also in (LATE, UNTOLD[:1] + UNTOLD[2:], UNTOLD[1:], TAKEN):
            outcome = play(Seed(number, also=also))
            reached += outcome.reached
            wrong += [(number, also, line) for line in outcome.wrong]
        if reached.keys() >= PATHS:
            break
    assert wrong == []
    assert reached.keys() >= PATHS, sorted(PATHS - reached.keys())
