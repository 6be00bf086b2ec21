"""How a running node asks the invariants: of what is new, and of everything in pieces that payments do not notice."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import structlog

from penpay.adapters.database import PROOFS, Database
from penpay.domain.errors import StoreError, Unavailable
from penpay.domain.ids import is_ulid
from penpay.invariants import questions
from penpay.invariants.questions import OF_ALL, OF_THE_CLOCK, Broken, Head, Rows, Span

log = structlog.get_logger()

IDS_MAX = 200
"""Transactions that one statement names. Pieces are small: a payment waits for the core that reads them."""
ROWS_MAX = 1_000
"""Postings, audit records and messages of each chain that one statement reads."""
BEFORE = 200
"""Rows of each chain that a first look goes back: the last commits before a node ended are the first to be doubted."""
AGAIN_MAX = 20
"""Questions of one rule that found something and are asked again: what breaks it everywhere is one fault."""
Question = tuple[str, str]
"""The name of a rule, and a statement that answers rows which break it."""


class News:
    """Asks what was added or touched since the last look; the first one begins a little before the newest rows.

    It costs what was done since, whatever the books have grown to, and however long a rule has been broken: a question
    that found rows is asked again until it finds none, so that what was found stays found, but nothing behind it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("invariants")
        self._seen: Mapping[str, Head] = {}
        self._again: Sequence[Question] = ()
        self._refused: set[str] = set()

    async def look(self, *, within_s: float = 0.0) -> Broken:
        """Broken rows by name, empty where it holds. Raises `Unavailable`; then the next look begins where this did.

        A rule is missing that the database refused to look at: it is asked again, and does not hide the others.
        `within_s` spreads the questions over about that time, so that payments do not wait for all at once.
        """
        prefix = self._database.prefix
        heads = {head.chain: head for head in await _heads(self._database)}
        spans = [
            (self._seen.get(name, Head(name, 0, 0, 0)) if self._seen else head.before(BEFORE), head)
            for name, head in heads.items()
        ]
        of_whole_commits = spans if self._seen else ()
        touched = await self._database.rows(questions.about(self._queries("touched"), prefix, spans), lane=PROOFS)
        ids = sorted(id_ for (id_,) in touched if is_ulid(id_))
        asked = [*self._again, *questions.of_commits(prefix, of_whole_commits), *_of_chains(prefix, spans)]
        for first in range(0, len(ids), IDS_MAX):
            asked += questions.of_transactions(prefix, ids[first : first + IDS_MAX])
        broken = _nothing(questions.queries(prefix).keys() - OF_ALL)
        again: defaultdict[str, list[Question]] = defaultdict(list)
        refused: set[str] = set()
        for name, query in asked:
            await asyncio.sleep(within_s / len(asked))
            found = await _answer(self._database, name, query, told=self._refused | refused)
            if found is None:
                refused.add(name)
            if found != () and name not in OF_THE_CLOCK:
                again[name].append((name, query))
            broken[name] = list(dict.fromkeys([*broken[name], *(found or ())]))[: questions.ROWS_MAX]
        self._seen, self._refused = heads, refused
        self._again = [question for some in again.values() for question in some[:AGAIN_MAX]]
        return {name: rows for name, rows in broken.items() if rows or name not in refused}


class Round:
    """One round over everything that is there when it begins: it ends, however fast more is written.

    Question by question, none of which takes long but those that no key finds. What the database does not answer is
    asked once more, behind the others: what it never will answer in time keeps none of them waiting.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("invariants")
        self._questions: Iterator[Question] = iter(())
        self._put_off: list[Question] = []
        self._unanswered: list[Question] = []
        self._refused: set[str] = set()
        self._is_once_more = False
        self._after: str | None = None
        """The last transaction that is asked about; None before the chains were."""
        self._newest = ""
        """The last one of the round."""
        self.broken = _nothing(questions.queries(database.prefix))
        """By name, with what was found so far."""

    @property
    def unanswered(self) -> set[str]:
        """Names of questions that were not answered twice, or refused: nobody knows whether these hold."""
        return {name for name, _ in self._unanswered} | self._refused

    async def step(self) -> bool:
        """Ask the next question; False when none is left. Raises `Unavailable`. After any end it may be asked again."""
        question = next(self._questions, None) or await self._more()
        if question is None:
            return False
        name, query = question
        behind = self._unanswered if self._is_once_more else self._put_off
        behind.append(question)  # before it is asked: a restart in between is no answer either
        found = await _answer(self._database, name, query, told=self._refused)
        behind.pop()
        if found is None:
            self._refused.add(name)
        self.broken[name] = [*self.broken[name], *(found or ())][: questions.ROWS_MAX]
        return True

    async def _more(self) -> Question | None:
        """The first of the next questions: what the chains hold, page by page the transactions, what was put off."""
        if self._is_once_more:
            return None
        if self._after is None:
            prefix = self._database.prefix
            whole = [(Head(head.chain, 0, 0, 0), head) for head in await _heads(self._database)]
            newest = await self._database.rows(self._queries("newest_transaction"), lane=PROOFS)
            self._newest = "".join(id_ for (id_,) in newest)
            self._questions, self._after = chain(questions.at_once(prefix), _of_chains(prefix, whole)), ""
        else:
            page = self._queries("transactions_behind", after=self._after, newest=self._newest, limit=IDS_MAX)
            ids = [id_ for (id_,) in await self._database.rows(page, lane=PROOFS)]
            if ids:
                self._questions, self._after = iter(questions.of_transactions(self._database.prefix, ids)), ids[-1]
            else:
                self._questions, self._is_once_more = iter(self._put_off), True
        return next(self._questions, None)


def _of_chains(prefix: str, spans: Sequence[Span]) -> Iterator[Question]:
    """Piece by piece, all chains side by side."""
    longest = max((new - old for begin, end in spans for old, new in zip(begin[1:], end[1:], strict=True)), default=0)
    for done in range(0, longest, ROWS_MAX):
        piece = [(begin.towards(end, done), begin.towards(end, done + ROWS_MAX)) for begin, end in spans]
        yield from questions.of_chains(prefix, piece)


async def _answer(database: Database, name: str, query: str, *, told: Collection[str] = ()) -> Rows | None:
    """The rows found; None where the database refuses to look. Raises `Unavailable`.

    It has no room for a temporary table, or a right is missing: a job that crashed over it would take others along.
    """
    try:
        return tuple(await questions.rows(database, query))
    except Unavailable:
        raise
    except StoreError as error:
        if name not in told:
            log.error("invariant_refused", name=name, problem=str(error))  # noqa: TRY400 - where it arose says nothing
        return None


async def _heads(database: Database) -> Sequence[Head]:
    return [Head(*row) for row in await database.rows(database.queries("invariants")("heads"), lane=PROOFS)]


def _nothing(names: Iterable[str]) -> dict[str, Rows]:
    return dict.fromkeys(names, ())
