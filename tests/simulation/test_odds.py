"""Which troubles a seed knows."""

import random

from penpay.simulation.odds import FAULTS, LATER, Odds


def odds(later):
    return Odds(random.Random("seed"), random.Random(later))


def test_kinds_that_came_later_leave_the_dice_of_all_others_alone():
    one, other = odds("one"), odds("other")
    kept = [{kind: often for kind, often in each.known.items() if kind not in LATER} for each in (one, other)]
    assert kept[0] == kept[1]
    for each in (one, other):
        each.known = {**kept[0], **{kind: 0.5 for kind in LATER if each is one}}
    assert any(one.hits(kind) for kind in LATER for _ in range(50))
    assert [one.hits(kind) for kind in kept[0]] == [other.hits(kind) for kind in kept[0]]


def test_every_later_kind_is_known_to_some_seeds_and_not_to_all():
    known = [odds(f"{number}").known.keys() & LATER for number in range(100)]
    for kind in LATER:
        assert 0 < sum(kind in kinds for kinds in known) < len(known), kind
    assert FAULTS.keys() >= LATER


def test_nothing_strikes_a_world_that_has_healed():
    calm = odds("one")
    calm.known = dict.fromkeys(FAULTS, 1.0)
    calm.calm = True
    assert not any(calm.hits(kind) for kind in FAULTS)
    assert not calm.reached
