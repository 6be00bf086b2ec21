"""Verifies the chains from the first row to the newest anchor. Reads only; needs no secret but a public key.

Found are rows that were edited, removed, inserted or exchanged, each by the first place where the chain does not hold,
and a tail that was cut behind an anchor or behind the head that the database itself names.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from penpay.adapters.audit_store import MySqlChains, MySqlHeads, StoredPosting
from penpay.adapters.database import Database
from penpay.adapters.mysql_wire import Row
from penpay.domain.chain import GENESIS, at_text, audit_hash, audit_head, posting_hash, posting_head
from penpay.ports_audit import AUDIT, POSTINGS, SYS, Anchor, AnchorBook, ChainHead, standing


@dataclass(frozen=True, slots=True)
class Link:
    """A row of a chain: what it says of itself, and the hash that its content has."""

    seq: int
    prev_hash: bytes
    hash: bytes
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one chain. `bad_seq` is the first place that does not hold, `problem` says how; or it is whole."""

    chain: str
    rows: int
    anchors: int
    bad_seq: int = 0
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Nothing was found."""
        return not self.problem

    def line(self) -> str:
        """For a person."""
        if self.holds:
            return f"{self.chain}: {self.rows} rows, {self.anchors} anchors, whole"
        return f"{self.chain}: row {self.bad_seq}: {self.problem}" if self.bad_seq else f"{self.chain}: {self.problem}"


async def verify(database: Database, book: AnchorBook) -> Sequence[Verdict]:
    """Every chain of the installation. Raises `Unavailable`."""
    heads = MySqlHeads(database)
    sighting = await heads.look()
    chains = MySqlChains(database)
    try:
        anchors = standing(await book.anchors(sighting.installation_id))
    except (ValueError, OSError) as error:
        return [Verdict("anchors", 0, 0, 0, str(error))]
    verdicts = []
    for head in sighting.heads:
        of_chain = [anchor for anchor in anchors if anchor.chain == head.chain]
        verdict = await _chain(head, _links(chains, head.chain), of_chain)
        if verdict.holds and verdict.rows > head.seq:
            # Written while we read, or put there by somebody who forgot the head.
            newer = next(found for found in (await heads.look()).heads if found.chain == head.chain)
            if verdict.rows > newer.seq:
                problem = f"was added: the shard's row names {newer.seq} as the last"
                verdict = replace(verdict, bad_seq=newer.seq + 1, problem=problem)
        verdicts.append(verdict)
    unknown = {anchor.chain for anchor in anchors} - {head.chain for head in sighting.heads}
    verdicts += [Verdict(chain, 0, 1, 0, "anchored, but the database does not know it") for chain in sorted(unknown)]
    stray = await chains.stray_entry()
    if stray is not None:
        verdicts.append(Verdict("ledger_entries", 0, 0, stray, "belongs to no posting"))
    return verdicts


def unanchored(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """What is missing when rows stand and no anchor does: whoever writes all rows anew writes their heads as well."""
    if any(one.anchors or not one.holds for one in verdicts) or not any(one.rows for one in verdicts):
        return ()
    return (Verdict("anchors", 0, 0, 0, "there are none, so that nothing speaks for what was written"),)


async def _chain(head: ChainHead, links: AsyncIterator[Link], anchors: Sequence[Anchor]) -> Verdict:
    expected = {anchor.seq: anchor for anchor in anchors}
    previous, rows = GENESIS, 0
    async for link in links:
        problem = _problem(link, rows + 1, previous) or _against(link, expected.get(link.seq))
        if problem:
            return Verdict(head.chain, rows, len(anchors), min(link.seq, rows + 1), problem)
        previous, rows = link.hash, link.seq
        if rows == head.seq and link.hash != head.hash:
            return Verdict(head.chain, rows, len(anchors), rows, "is not the head that the shard's row names")
    newest = max(anchors, key=lambda anchor: anchor.seq, default=None)
    if newest is not None and newest.seq > rows:
        problem = f"the rows behind are gone: an anchor of {newest.at.isoformat(' ', 'seconds')} names row {newest.seq}"
        return Verdict(head.chain, rows, len(anchors), rows + 1, problem)
    if head.seq > rows:
        problem = f"the rows behind are gone: the shard's row names {head.seq}"
        return Verdict(head.chain, rows, len(anchors), rows + 1, problem)
    return Verdict(head.chain, rows, len(anchors))


def _problem(link: Link, seq: int, previous: bytes) -> str:
    if link.seq != seq:
        return f"missing; {link.seq} follows {seq - 1}"
    if link.prev_hash != previous:
        return "does not follow the row before it: rows were inserted, exchanged or rewritten"
    if link.hash != link.content_hash:
        return "was edited: its content has another hash"
    return ""


def _against(link: Link, anchor: Anchor | None) -> str:
    if anchor is not None and anchor.hash != link.hash:
        return f"is another than its anchor of {anchor.at.isoformat(' ', 'seconds')}: the chain was rewritten"
    return ""


async def _links(chains: MySqlChains, chain: str) -> AsyncIterator[Link]:
    kind, _, place = chain.partition("/")
    if kind == POSTINGS:
        async for stored in chains.postings(int(place)):
            yield _posting_link(int(place), stored)
    else:
        assert kind == AUDIT
        stored_chain = "sys" if chain == SYS else f"shard/{place}"
        async for found in chains.audit(stored_chain):
            yield _audit_link(stored_chain, found)


def _posting_link(shard: int, stored: StoredPosting) -> Link:
    _, unit_id, transaction_id, key, phase, resolves, seq, prev_hash, hash_, created_at = stored.row
    numbers: list[int] = []
    for _, _, _, _, amount_minor, balance_after_minor, account_version in stored.legs:
        numbers += (amount_minor, balance_after_minor, account_version)
    legs = [text for _, _, account_id, currency, *_ in stored.legs for text in (account_id, currency)]
    head = posting_head(shard, unit_id, transaction_id, key, phase, resolves, at_text(created_at), legs)
    return Link(seq, prev_hash, hash_, posting_hash(prev_hash, head, seq, numbers))


def _audit_link(chain: str, found: Row) -> Link:
    seq, unit_id, at, actor, action, subject, detail, prev_hash, hash_ = found
    head = audit_head(
        chain=chain,
        unit_id=unit_id,
        at=at_text(at),
        actor=actor,
        action=action,
        subject=subject,
        detail=detail.decode(errors="backslashreplace"),
    )
    return Link(seq, prev_hash, hash_, audit_hash(prev_hash, head, seq))
