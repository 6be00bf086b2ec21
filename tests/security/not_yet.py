"""Security requirements that no test of this folder proves, each with its reason. Rows leave this list as they land."""

from collections.abc import Mapping

_STAFF = "needs staff who sign in; today one token guards the internal listener, and two names stand under a decision"
_LATER = "its test is being written"

NOT_YET: Mapping[int, str] = {
    9: "a key pair per device and signed requests come later; two devices at most is tests/http/test_sign_in.py",
    14: _STAFF,
    15: _STAFF,
    20: _LATER,
    24: "signed requests with a nonce come with the devices' own keys",
    30: _LATER,
    **dict.fromkeys(range(32, 48), _LATER),
    **dict.fromkeys(range(50, 54), _LATER),
    54: "needs a restore drill on a second machine",
}
