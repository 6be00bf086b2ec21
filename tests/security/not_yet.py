"""Security requirements that no test of this folder proves, each with its reason. Rows leave this list as they land."""

from collections.abc import Mapping

_STAFF = "needs staff who sign in; today one token guards the internal listener, and two names stand under a decision"

NOT_YET: Mapping[int, str] = {
    9: "a key pair per device and signed requests come later; two devices at most is tests/http/test_sign_in.py",
    14: _STAFF,
    15: _STAFF,
    24: "signed requests with a nonce come with the devices' own keys",
    51: "the image and its rights are read in tests/packaging/test_containers.py",
    54: "needs a restore drill on a second machine",
}
