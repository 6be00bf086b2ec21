"""How much of the time a running node asks about everything, and what it says when either kind found a rule broken."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from penpay.domain.errors import Unavailable
from penpay.invariants import rounds
from penpay.invariants.jobs import NEWS_S, REST_MAX_S, SHARE, TURN_S, InvariantJobs
from tests.ledger.test_anchors import StandingClock

EVERY_S = 60.0
QUESTIONS = 40
BEGIN_AT = datetime(2026, 11, 29, 2, tzinfo=UTC)


class Books:
    """What a question costs, and what either kind finds. Counts the rounds, and the time that went into questions."""

    def __init__(self):
        self.clock = StandingClock()
        self.clock.now = lambda: BEGIN_AT + timedelta(seconds=self.clock.now_s)
        self.cost_s = 0.0
        self.of_all, self.of_news = {}, {}
        self.unanswered, self.refused = set(), set()
        self.rounds, self.asked_s = 0, 0.0

    async def sleep(self, pause_s):
        self.clock.now_s += pause_s


class Round:
    """Finds what is wrong with its last question."""

    def __init__(self, books):
        self._books = books
        self._asked = 0
        self.broken = {"sums": (), "chains": ()}
        self.unanswered = books.unanswered

    async def step(self):
        if self._asked == QUESTIONS:
            self._books.rounds += 1
            return False
        self._asked += 1
        self._books.clock.now_s += self._books.cost_s
        self._books.asked_s += self._books.cost_s
        if self._asked == QUESTIONS:
            self.broken |= self._books.of_all
        return True


class News:
    def __init__(self, books):
        self._books = books

    async def look(self, *, within_s):
        assert within_s < NEWS_S
        looked = {"chains": (), **self._books.of_news}
        return {name: rows for name, rows in looked.items() if name not in self._books.refused}


class Gauges:
    def __init__(self):
        self.shown, self.unanswered, self.asked = {}, {}, {}

    def violations(self, counts):
        self.shown = dict(counts)

    def invariants_unanswered(self, counts):
        self.unanswered = dict(counts)

    def invariants_asked(self, of, at):
        self.asked[of] = at


@pytest.fixture
def house(monkeypatch):
    books = Books()
    monkeypatch.setattr(rounds, "Round", lambda _database: Round(books))
    monkeypatch.setattr(rounds, "News", lambda _database: News(books))
    gauges = Gauges()
    return books, InvariantJobs(None, books.clock, gauges, every_s=EVERY_S, sleep=books.sleep), gauges


async def run(books, jobs, *, for_s: float) -> None:
    """Call the job at its pause for so long."""
    end_s = books.clock.now_s + for_s
    while books.clock.now_s < end_s:
        began_s = books.clock.now_s
        await jobs.of_all()
        books.clock.now_s = max(began_s + EVERY_S, books.clock.now_s)


async def test_small_books_are_read_every_minute(house):
    books, jobs, _ = house
    books.cost_s = SHARE * TURN_S / QUESTIONS / 2
    await run(books, jobs, for_s=3600)
    assert books.rounds == 60


@pytest.mark.parametrize("cost_s", [0.05, 0.4, 20.0])
async def test_large_books_take_a_hundredth_of_the_time_and_are_read_to_their_end(house, cost_s):
    books, jobs, _ = house
    books.cost_s = cost_s
    for_s = 4 * QUESTIONS * cost_s / SHARE
    await run(books, jobs, for_s=for_s)
    assert books.rounds >= 2
    assert books.asked_s <= SHARE * books.clock.now_s * 1.01


async def test_what_one_kind_of_round_found_is_not_taken_back_by_the_other(house):
    books, jobs, gauges = house
    books.of_all = {"sums": [("KES", 1)]}
    assert await jobs.of_all() == "broken: sums"
    assert await jobs.of_news() == "1 hold"
    assert gauges.shown == {"sums": 1, "chains": 0}
    books.of_news = {"chains": [(0, 7), (0, 8)]}
    assert await jobs.of_news() == "broken: chains"
    assert gauges.shown == jobs.last_check.counts == {"sums": 1, "chains": 2}
    books.of_all = books.of_news = {}
    await jobs.of_all()
    await jobs.of_news()
    assert gauges.shown == {"sums": 0, "chains": 0}


async def test_what_is_found_is_told_before_the_round_is_over_and_holds_until_one_is(house):
    books, jobs, gauges = house
    books.of_all = {"sums": [("KES", 1)]}
    books.cost_s = SHARE * TURN_S / QUESTIONS * 1.05
    assert await jobs.of_all() == "going on; broken: sums"
    assert gauges.shown == {"sums": 1}
    assert await jobs.of_all() == "broken: sums"
    books.of_all = {}
    assert await jobs.of_all() == "going on; broken: sums"
    assert await jobs.of_all() == "2 hold"
    assert gauges.shown == {"sums": 0, "chains": 0}


async def test_a_round_goes_on_where_the_database_went_away(house, monkeypatch):
    books, jobs, _ = house
    monkeypatch.setattr(rounds, "Round", lambda _database: lost)
    lost = Round(books)
    step = lost.step

    async def away():
        raise Unavailable("database")

    lost.step = away
    with pytest.raises(Unavailable):
        await jobs.of_all()
    lost.step = step
    assert await jobs.of_all() == "2 hold"
    assert books.rounds == 1


@pytest.mark.parametrize(("silence_s", "rest_s"), [(1.0, 99.0), (20.0, REST_MAX_S)])
async def test_behind_a_silence_it_rests_but_not_for_hours(house, monkeypatch, silence_s, rest_s):
    books, jobs, _ = house

    async def silence(_round):
        books.clock.now_s += silence_s
        raise Unavailable("database")

    monkeypatch.setattr(Round, "step", silence)
    for begins_s in (0.0, silence_s + rest_s):
        with pytest.raises(Unavailable):  # told at once, whatever it rests then
            await jobs.of_all()
        assert books.clock.now_s == pytest.approx(begins_s + silence_s)


async def test_what_was_not_answered_is_as_it_was_and_not_taken_to_hold(house):
    books, jobs, gauges = house
    books.of_all = {"sums": [("KES", 1)]}
    await jobs.of_all()
    books.of_all, books.unanswered = {}, {"sums"}
    assert await jobs.of_all() == "broken: sums; not answered: sums"
    assert gauges.shown == {"sums": 1, "chains": 0}
    books.unanswered = set()
    assert await jobs.of_all() == "2 hold"
    assert gauges.shown == {"sums": 0, "chains": 0}


async def test_what_was_refused_of_what_is_new_is_as_it_was(house):
    books, jobs, gauges = house
    books.refused = {"chains"}
    await jobs.of_news()
    assert gauges.shown == {}
    books.refused, books.of_news = set(), {"chains": [(0, 7)]}
    await jobs.of_news()
    books.refused, books.of_news = {"chains"}, {}
    await jobs.of_news()
    assert gauges.shown == {"chains": 1}
    books.refused = set()
    await jobs.of_news()
    assert gauges.shown == {"chains": 0}


async def test_what_was_never_answered_is_nothing_that_holds(house):
    books, jobs, gauges = house
    books.unanswered = {"sums"}
    assert await jobs.of_all() == "1 hold; not answered: sums"
    assert gauges.shown == {"chains": 0}


async def test_when_each_kind_last_went_through_is_told(house):
    books, jobs, gauges = house
    books.cost_s = SHARE * TURN_S / QUESTIONS * 1.05
    assert (await jobs.of_all()).startswith("going on")
    assert gauges.asked == {}
    await jobs.of_all()
    await jobs.of_news()
    assert gauges.asked == {"everything": books.clock.now(), "news": books.clock.now()}
    assert books.clock.now() > BEGIN_AT


async def test_whoever_is_on_duty_sees_which_kind_went_through_when_and_what_was_not_answered(house):
    books, jobs, _ = house
    books.unanswered = {"sums"}
    await jobs.of_news()
    assert (jobs.last_check.news_at, jobs.last_check.everything_at) == (BEGIN_AT, None)
    books.clock.now_s += 600
    await jobs.of_all()
    seen = jobs.last_check
    assert (seen.news_at, seen.everything_at, seen.unanswered) == (BEGIN_AT, books.clock.now(), {"sums"})
    books.unanswered = set()
    await jobs.of_all()
    assert jobs.last_check.unanswered == set()


async def test_what_a_round_found_is_told_although_the_database_does_not_answer_the_next_question(house, monkeypatch):
    _, jobs, gauges = house
    step = Round.step

    async def finds_and_falls_silent(round_):
        if round_.broken["sums"]:
            raise Unavailable("database")
        round_.broken["sums"] = [("KES", 1)]
        return await step(round_)

    monkeypatch.setattr(Round, "step", finds_and_falls_silent)
    with pytest.raises(Unavailable):
        await jobs.of_all()
    assert gauges.shown == {"sums": 1}


async def test_the_log_tells_what_is_broken_when_that_changes_and_not_with_every_look(house):
    books, jobs, _ = house
    books.of_news = {"chains": [(0, 7)]}
    with capture_logs() as told:
        await jobs.of_news()
        await jobs.of_news()
        await jobs.of_all()
        books.of_all = {"sums": [("KES", 1)]}
        await jobs.of_all()
        books.of_all = books.of_news = {}
        await jobs.of_all()
        await jobs.of_news()
        books.of_news = {"chains": [(0, 7)]}
        await jobs.of_news()
    assert [one["names"] for one in told] == [["chains"], ["chains", "sums"], ["chains"], ["chains"]]


async def test_a_look_that_never_goes_through_shows(house, monkeypatch):
    _, jobs, gauges = house

    async def away(_news, *, within_s):
        raise Unavailable("database")

    monkeypatch.setattr(News, "look", away)
    with pytest.raises(Unavailable):
        await jobs.of_news()
    assert gauges.asked == {}


async def test_which_rules_were_not_answered_is_told_when_the_round_ends_and_until_they_are(house):
    books, jobs, gauges = house
    await jobs.of_all()
    assert gauges.unanswered == {"sums": 0, "chains": 0}
    books.unanswered = {"sums"}
    await jobs.of_all()
    assert gauges.unanswered == {"sums": 1, "chains": 0}
    books.unanswered = set()
    await jobs.of_all()
    assert gauges.unanswered == {"sums": 0, "chains": 0}
