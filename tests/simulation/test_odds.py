"""Which troubles a seed knows."""

import random

from penpay.simulation.odds import FAULTS, LATER, LATEST, Odds


def odds(later, own="own"):
    return Odds(random.Random("seed"), random.Random(later), lambda kind: random.Random(f"{own}/{kind}"))


def test_kinds_that_came_later_leave_the_dice_of_all_others_alone():
    one, other = odds("one"), odds("other")
    kept = [{kind: often for kind, often in each.known.items() if kind not in LATER} for each in (one, other)]
    assert kept[0] == kept[1]
    for each in (one, other):
        each.known = {**kept[0], **{kind: 0.5 for kind in LATER if each is one}}
    assert any(one.hits(kind) for kind in LATER for _ in range(50))
    assert [one.hits(kind) for kind in kept[0]] == [other.hits(kind) for kind in kept[0]]


def test_the_latest_kinds_leave_the_dice_of_the_later_ones_alone_too():
    one, other = odds("one", "own"), odds("one", "another")
    kept = [{kind: often for kind, often in each.known.items() if kind not in LATEST} for each in (one, other)]
    assert kept[0] == kept[1]
    one.known = {**kept[0], **dict.fromkeys(LATEST, 0.5)}
    other.known = kept[0]
    assert any(one.hits(kind) for kind in LATEST for _ in range(50))
    later = dict.fromkeys(LATER, 0.5)
    one.known, other.known = later, later
    drawn = [[each.hits(kind) for kind in sorted(LATER) for _ in range(20)] for each in (one, other)]
    assert drawn[0] == drawn[1]
    assert True in drawn[0]


def test_every_later_kind_is_known_to_some_seeds_and_not_to_all():
    known = [odds(f"{number}", f"{number}").known.keys() & (LATER | LATEST) for number in range(100)]
    for kind in LATER | LATEST:
        assert 0 < sum(kind in kinds for kinds in known) < len(known), kind
    assert FAULTS.keys() >= LATER | LATEST
    assert not LATER & LATEST


def test_nothing_strikes_a_world_that_has_healed():
    calm = odds("one")
    calm.known = dict.fromkeys(FAULTS, 1.0)
    calm.calm = True
    assert not any(calm.hits(kind) for kind in FAULTS)
    assert not calm.reached


def test_what_never_heals_goes_on():
    calm = odds("one")
    calm.known = dict.fromkeys(FAULTS, 1.0)
    calm.calm = True
    assert all(calm.hits(kind, heals=False) for kind in FAULTS)
