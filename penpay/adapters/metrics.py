"""All metrics, by the names that dashboards rely on (contract.md part 8), and the methods that move them.

Labels are few and closed: never an id, a phone or an address.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

Asked = Literal["news", "everything"]
"""What a round of the invariants is about."""
_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PROVIDER_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
_STAGE_S = (0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 21600, 86400)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """One registry per process. Every method is cheap and never raises for a value that its caller can produce."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Histogram(
            "penpay_http_request_duration_seconds",
            "Time from the request's headers to its answer",
            ("route", "method", "status"),
            buckets=_FAST_S,
            registry=registry,
        )
        self._callbacks = Counter(
            "penpay_callbacks", "Callbacks of providers by verdict", ("kind", "verdict"), registry=registry
        )
        self._authentications = Counter(
            "penpay_authentications",
            "Passwords, tokens, codes and PINs by result",
            ("kind", "result"),
            registry=registry,
        )
        self._requests_open = Gauge("penpay_http_requests_in_progress", "Requests being answered", registry=registry)
        self._streams_open = Gauge("penpay_event_streams", "Open Server-Sent Event streams", registry=registry)
        self._money()
        self._providers()
        self._actors()

    def _money(self) -> None:
        registry = self.registry
        self._transactions = Counter(
            "penpay_transactions", "Transactions that reached a status", ("type", "status"), registry=registry
        )
        self._stages = Histogram(
            "penpay_stage_duration_seconds",
            "Time that a transaction spent in a stage",
            ("type", "stage"),
            buckets=_STAGE_S,
            registry=registry,
        )
        self._units = Counter("penpay_ledger_units", "Units of work by result", ("result",), registry=registry)
        self._batch = Histogram(
            "penpay_ledger_batch_size", "Units in one database transaction", buckets=_BATCH, registry=registry
        )
        self._commit = Histogram(
            "penpay_ledger_commit_duration_seconds",
            "Time of one ledger transaction",
            buckets=_FAST_S,
            registry=registry,
        )
        self._outbox_lag = Gauge(
            "penpay_outbox_lag_seconds", "Age of the oldest event that was not relayed", registry=registry
        )
        self._oldest = Gauge(
            "penpay_saga_oldest_seconds", "Age of the oldest open transaction", ("type", "stage"), registry=registry
        )
        self._violations = Gauge(
            "penpay_invariant_violations", "Rows that break an invariant", ("name",), registry=registry
        )
        self._unanswered = Gauge(
            "penpay_invariant_unanswered",
            "1 where the database did not answer the last round over everything",
            ("name",),
            registry=registry,
        )
        self._asked = Gauge(
            "penpay_invariants_asked_timestamp_seconds",
            "When all questions about what is new, or about everything, were last asked; 0 before the first time",
            ("of",),
            registry=registry,
        )
        for of in get_args(Asked):  # an alert must not look at nothing until the first time, which may never come
            self._asked.labels(of)

    def _providers(self) -> None:
        registry = self.registry
        self._provider = Histogram(
            "penpay_provider_request_duration_seconds",
            "Time of one call to a provider",
            ("provider", "operation", "outcome"),
            buckets=_PROVIDER_S,
            registry=registry,
        )
        self._deriv_connected = Gauge(
            "penpay_deriv_connected", "1 while the agent's session takes money calls", registry=registry
        )
        self._agent_compared = Gauge(
            "penpay_agent_compared_timestamp_seconds",
            "When the agent's statement was last compared with the books; 0 before the first time",
            registry=registry,
        )
        self._unknown = Gauge(
            "penpay_unknown_outcomes", "Operations whose outcome is not proven", ("provider",), registry=registry
        )
        self._float = Gauge(
            "penpay_float_minor",
            "A provider's balance as last seen, in minor units",
            ("account", "currency"),
            registry=registry,
        )

    def _actors(self) -> None:
        registry = self.registry
        self._depth = Gauge(
            "penpay_actor_mailbox_depth", "Messages waiting, over all actors of a kind", ("kind",), registry=registry
        )
        self._alive = Gauge("penpay_actors_alive", "Live actors", ("kind",), registry=registry)
        self._restarts = Counter(
            "penpay_actor_restarts", "Restarts by supervisor", ("supervisor", "reason"), registry=registry
        )
        self._handled = Histogram(
            "penpay_actor_handle_seconds",
            "Time of one message in its handler",
            ("kind", "message"),
            buckets=_FAST_S,
            registry=registry,
        )
        self._failed = Counter(
            "penpay_actor_failures", "Messages that ended an incarnation", ("kind", "message"), registry=registry
        )
        self._dead_letters = Counter(
            "penpay_dead_letters", "Messages without a receiver", ("kind", "reason"), registry=registry
        )
        self._shed = Counter("penpay_shed", "Messages refused by a full mailbox", ("kind",), registry=registry)
        self._escalations = Counter(
            "penpay_supervisor_escalations", "Supervisors that gave up", ("supervisor",), registry=registry
        )
        self._recovery = Histogram(
            "penpay_entity_recovery_seconds",
            "Time that an entity's start took",
            ("kind",),
            buckets=_FAST_S,
            registry=registry,
        )
        self._passivations = Counter(
            "penpay_entity_passivations", "Idle entities put away", ("kind",), registry=registry
        )
        self._parked = Counter(
            "penpay_entities_parked", "Entities that crashed too often", ("kind",), registry=registry
        )
        # The labels of what happens with every message, looked up once each: kinds and messages are few.
        self._handled_by: dict[tuple[str, str], Histogram] = {}
        self._loop_lag = Gauge(
            "penpay_loop_lag_seconds", "Longest time that the event loop was late, of the last 5 s", registry=registry
        )

    # --- the edge -------------------------------------------------------------------------------------------------

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).observe(seconds)

    def callback(self, *, kind: str, verdict: str) -> None:
        self._callbacks.labels(kind, verdict).inc()

    def authenticated(self, *, kind: str, accepted: bool) -> None:
        """A password, a refresh token, a code or a PIN was judged, or the operators' token (`ops`) was a wrong one."""
        self._authentications.labels(kind, "accepted" if accepted else "refused").inc()

    def edge_load(self, *, requests: int, streams: int) -> None:
        """What the public listener holds right now."""
        self._requests_open.set(requests)
        self._streams_open.set(streams)

    # --- money ----------------------------------------------------------------------------------------------------

    def transaction(self, *, type_: str, status: str) -> None:
        """A transaction reached a status."""
        self._transactions.labels(type_, status).inc()

    def stage(self, *, type_: str, stage: str, seconds: float) -> None:
        """A transaction left a stage after `seconds`."""
        self._stages.labels(type_, stage).observe(seconds)

    def unit(self, result: str, count: int = 1) -> None:
        """Units were answered: `committed`, `replayed`, or the code of a rejection."""
        self._units.labels(result).inc(count)

    def ledger_commit(self, *, units: int, seconds: float) -> None:
        """One batch was committed."""
        self._batch.observe(units)
        self._commit.observe(seconds)

    def outbox_lag(self, seconds: float) -> None:
        """Age of the oldest event that was not relayed."""
        self._outbox_lag.set(seconds)

    def oldest_open(self, ages_s: Mapping[tuple[str, str], float]) -> None:
        """Age of the oldest open transaction by (type, stage); stages without one disappear."""
        self._oldest.clear()
        for (type_, stage), age_s in ages_s.items():
            self._oldest.labels(type_, stage).set(age_s)

    def provider(self, *, provider: str, operation: str, outcome: str, seconds: float) -> None:
        """One call to a provider ended."""
        self._provider.labels(provider, operation, outcome).observe(seconds)

    def deriv_connected(self, *, connected: bool) -> None:
        """Whether the agent's session takes money calls."""
        self._deriv_connected.set(int(connected))

    def agent_compared(self, at: datetime) -> None:
        """The agent's statement was read and compared with the books."""
        self._agent_compared.set(at.timestamp())

    def unknown_outcomes(self, provider: str, count: int) -> None:
        """Operations of a provider whose outcome is not proven."""
        self._unknown.labels(provider).set(count)

    def violations(self, counts: Mapping[str, int]) -> None:
        """Rows that break each invariant; all names every time, zeros included."""
        for name, count in counts.items():
            self._violations.labels(name).set(count)

    def invariants_unanswered(self, counts: Mapping[str, int]) -> None:
        """1 for each invariant of which nobody knows whether it holds; all names every time, zeros included."""
        for name, count in counts.items():
            self._unanswered.labels(name).set(count)

    def invariants_asked(self, of: Asked, at: datetime) -> None:
        """Every question about what is new (`news`), or about `everything`, was asked."""
        self._asked.labels(of).set(at.timestamp())

    def float_seen(self, *, account: str, currency: str, minor: int) -> None:
        """A provider's balance as last seen."""
        self._float.labels(account, currency).set(minor)

    # --- actors: the runtime's observer ---------------------------------------------------------------------------

    def handled(self, kind: str, message: str, seconds: float) -> None:
        known = self._handled_by.get((kind, message))
        if known is None:
            known = self._handled_by[kind, message] = self._handled.labels(kind, message)
        known.observe(seconds)

    def failed(self, kind: str, message: str) -> None:
        self._failed.labels(kind, message).inc()

    def dead_letter(self, kind: str, reason: str) -> None:
        self._dead_letters.labels(kind, reason).inc()

    def shed(self, kind: str) -> None:
        self._shed.labels(kind).inc()

    def restarted(self, supervisor: str, reason: str) -> None:
        self._restarts.labels(supervisor, reason).inc()

    def escalated(self, supervisor: str) -> None:
        self._escalations.labels(supervisor).inc()

    def activated(self, kind: str, seconds: float) -> None:
        self._recovery.labels(kind).observe(seconds)

    def passivated(self, kind: str) -> None:
        self._passivations.labels(kind).inc()

    def parked(self, kind: str) -> None:
        self._parked.labels(kind).inc()

    def actors(self, census: Iterable[tuple[str, int, int]]) -> None:
        """(kind, live actors, waiting messages) of the whole tree, taken when metrics are read."""
        self._alive.clear()
        self._depth.clear()
        for kind, alive, depth in census:
            self._alive.labels(kind).set(alive)
            self._depth.labels(kind).set(depth)

    def loop_lag(self, seconds: float) -> None:
        """How late the event loop ran at its worst."""
        self._loop_lag.set(seconds)

    # --- reading --------------------------------------------------------------------------------------------------

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Body and content type: Prometheus text, or OpenMetrics when `Accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
