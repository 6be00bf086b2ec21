"""Technical bounds that more than one room knows, or whose relation counts. What a business turns: `config.tuning`.

The relations between bounds are asserted at import: a change that breaks one does not start.
"""

from typing import Final

# --- actors: over a bound the sender is refused at once -----------------------------------------------------------
MAILBOX_MAX: Final = 1024
ENTITY_MAILBOX_MAX: Final = 64
"""Users and sagas. More than this waiting for one customer is a fault of the sender."""
LEDGER_MAILBOX_MAX: Final = 4096
DEAD_LETTERS_KEPT: Final = 10_000
ENTITIES_MAX: Final = 50_000
"""Live actors of one host; the longest idle go first. A waiting saga costs a row, not an actor."""
RECOVERIES_MAX: Final = 50
"""Activations at once: each loads rows, and the pool has few connections."""

# --- supervision -----------------------------------------------------------------------------------------------
RESTARTS_MAX: Final = 5
RESTARTS_WITHIN_S: Final = 60.0
ROOT_RESTARTS_MAX: Final = 3
"""Fewer than below: tolerated crashes multiply over the levels."""
SAGA_CRASHES_MAX: Final = 5
UNIT_TRIES_MAX: Final = 5
"""On a deadlock, a lock time-out or a changed snapshot."""

# --- ledger ----------------------------------------------------------------------------------------------------
LEDGER_BATCH_MAX: Final = 512
LEDGER_BUILD_S: Final = 0.005
"""Time on the loop for building one batch; then others get their turn."""
ANCHOR_ROWS: Final = 1000

# --- HTTP ------------------------------------------------------------------------------------------------------
BODY_BYTES_MAX: Final = 32 * 1024
CALLBACK_BYTES_MAX: Final = 64 * 1024
"""A callback is stored before it is judged, so this is also the size of a stored row."""
HEADER_BYTES_MAX: Final = 8 * 1024
HEADERS_MAX: Final = 50
MEDIA_TYPE_MAX: Final = 100
"""Characters of a Content-Type; `application/json; charset=utf-8` has 31."""
JSON_DEPTH_MAX: Final = 16
JSON_KEYS_MAX: Final = 500
JSON_DIGITS_MAX: Final = 19
READ_HEAD_S: Final = 10.0
READ_BODY_S: Final = 10.0
REQUESTS_MAX: Final = 1024
"""In progress at once on the public listener; beyond it 503. Callbacks do not count: they have a lane of their own."""
BODIES_MAX: Final = 2048
"""Bodies that are awaited at once, beside the requests in progress: 64 MiB in the end; beyond it 503."""
BODIES_PER_ADDRESS_MAX: Final = REQUESTS_MAX // 4
"""Bodies of one address that are awaited at most."""
CALLBACKS_MAX: Final = 512
EVENT_STREAMS_MAX: Final = 10_000
EVENT_STREAMS_PER_USER: Final = 4
EVENT_QUEUE_MAX: Final = 256
"""Events kept for a slow reader; then it is cut and replays from its last id."""
PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 20
IDEMPOTENCY_KEY_MAX: Final = 255
STATEMENT_DAYS_MAX: Final = 366
STATEMENT_LINES_MAX: Final = 20_000
STATEMENT_PDF_LINES_MAX: Final = 1_000
STATEMENT_PDFS_AT_ONCE: Final = 2
"""Drawing one takes the interpreter for a while; further ones are asked to come again."""
STATEMENT_PAGE: Final = 500
WRITE_S: Final = 20.0
"""How long a reader may leave what we write unread before the connection is cut."""
WRITE_BYTES_PER_S: Final = 16 * 1024
"""What the slowest network takes: a document written at once, such as an export, has that much longer to be read."""

# --- providers -------------------------------------------------------------------------------------------------
DERIV_USER_SESSIONS_MAX: Final = 200
DERIV_USER_IDLE_S: Final = 120.0
"""A customer's session that nobody asked for so long is closed."""
BALANCES_FOLLOWED_MAX: Final = 150
"""Customers whose session is kept open while they follow their events; the others are for who asks once."""
BALANCE_EVERY_S: Final = 60.0
"""How often an event stream asks, which is what keeps the session open."""

FORBIDDEN_IN_URLS: Final = ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query")
"""Words for which Safaricom refuses a callback URL, in any case."""

# --- hashing and watchdog ----------------------------------------------------------------------------------------
ARGON2_MEMORY_KIB: Final = 19 * 1024
ARGON2_PASSES: Final = 2
ARGON2_LANES: Final = 1
HASH_QUEUE_MAX: Final = 64
"""At about 20 ms each on two threads, the last one in the queue waits under a second."""
LOOP_LAG_LOG_S: Final = 1.0
LOOP_LAG_EXIT_S: Final = 30.0
EXIT_ROOT_FAILED: Final = 70
EXIT_LOOP_STUCK: Final = 75

assert LEDGER_BATCH_MAX <= LEDGER_MAILBOX_MAX, "a full batch must be able to gather while one is committed"
assert REQUESTS_MAX <= LEDGER_MAILBOX_MAX, "admitted requests must find room in one ledger's mailbox"
assert min(REQUESTS_MAX, BODIES_MAX) >= BODIES_PER_ADDRESS_MAX * 4, "no address keeps the others out"
assert BODY_BYTES_MAX <= CALLBACK_BYTES_MAX, "what we ask of clients is below what we take"
assert ENTITY_MAILBOX_MAX <= MAILBOX_MAX, "one customer gets less room than a singleton"
assert ROOT_RESTARTS_MAX < RESTARTS_MAX, "the root gives up before a branch would"
assert BALANCES_FOLLOWED_MAX < DERIV_USER_SESSIONS_MAX, "who asks once finds a session that nobody follows"
assert 2 * BALANCE_EVERY_S <= DERIV_USER_IDLE_S, "a followed session is never idle, also when one question fails"
assert RECOVERIES_MAX <= ENTITIES_MAX, "the recovery limit is a part of the live ones"
assert LOOP_LAG_LOG_S < LOOP_LAG_EXIT_S, "the watchdog speaks before it bites"
assert STATEMENT_PDF_LINES_MAX <= STATEMENT_LINES_MAX, "a PDF costs more than a line of text"
assert PAGE_DEFAULT <= PAGE_MAX, "the default page is a legal one"
