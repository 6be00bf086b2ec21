"""Keys at work: sealed fields, blind indexes, callback tokens, and Daraja's SecurityCredential."""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from penpay.domain.ids import is_ulid, ulid_bytes, ulid_from_bytes
from penpay.domain.mpesa_callbacks import PATHS

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_BYTES = 4
_BY_FIELD_KEY = b"\x01"
_BY_DATA_KEY = b"\x02"
_BY_OWN_KEY = b"\x03"
EVIDENCE = "evidence"
"""Under whose name the installation's own data key is kept: it seals what belongs to no customer."""
_HEADER_BYTES = 1 + _ID_BYTES
_OPENED_KEYS_MAX = 512
"""Customers at work at once. Each holds 3 KB, most of it OpenSSL's; opening one anew takes 10 microseconds."""


class KeySealer:
    """`Sealer` with field keys by id (1…) and per-user data keys wrapped under them.

    Sealed bytes: kind ‖ key id ‖ nonce ‖ AES-256-GCM. The associated data binds place, user and key id.
    `keys` keeps retired keys for reading; `current` seals. What has no customer is sealed with the installation's own
    data key once that was adopted, so that no row depends on a field key directly.
    """

    def __init__(
        self,
        *,
        keys: Mapping[int, bytes],
        current: int,
        blind_index_key: bytes,
        former_index_keys: Sequence[bytes] = (),
    ) -> None:
        if current not in keys or any(len(key) != _KEY_BYTES for key in keys.values()):
            raise ValueError("field keys are 32 bytes each, and the current one is among them")
        index_keys = (blind_index_key, *former_index_keys)
        if any(len(key) < _KEY_BYTES for key in index_keys):
            raise ValueError("the blind index key has at least 32 bytes")
        self._current = current.to_bytes(_ID_BYTES)
        self._ciphers = {number.to_bytes(_ID_BYTES): AESGCM(key) for number, key in keys.items()}
        self._blind_keys = [_derive(key, b"blind index") for key in index_keys]
        self._fingerprint_keys = [_derive(key, b"fingerprint") for key in index_keys]
        self._own: tuple[bytes, AESGCM] | None = None
        self._opened: OrderedDict[bytes, tuple[bytes, AESGCM]] = OrderedDict()

    def new_data_key(self, user_id: str) -> bytes:
        """A fresh key of this user, wrapped. Store it; deleting it forgets everything sealed with it."""
        return self._seal(_BY_FIELD_KEY, self._current, secrets.token_bytes(_KEY_BYTES), _wrap_aad(user_id))

    def adopt(self, wrapped: bytes) -> None:
        """Use this data key, kept under the name `EVIDENCE`, for what belongs to no customer. Raises `ValueError`."""
        self._own = self._open_data_key(EVIDENCE, wrapped)

    @property
    def wrapping(self) -> bytes:
        """How a key that is wrapped under the field key in use begins."""
        return _BY_FIELD_KEY + self._current

    def rewrapped(self, user_id: str, wrapped: bytes) -> bytes:
        """The same data key under the field key in use. Raises `ValueError` without the key that wraps it now."""
        if wrapped[:1] != _BY_FIELD_KEY:
            raise ValueError("not a wrapped data key")
        key = self._open(wrapped, _wrap_aad(user_id), self._ciphers.get(wrapped[1:_HEADER_BYTES]))
        return self._seal(_BY_FIELD_KEY, self._current, key, _wrap_aad(user_id))

    def seal(self, plaintext: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        """Seal one field for its place."""
        bound = f"{aad}|{user_id}"
        if not data_key and self._own is not None:
            key_id, cipher = self._own
            return self._seal(_BY_OWN_KEY, key_id, plaintext, bound, cipher)
        if not data_key:
            return self._seal(_BY_FIELD_KEY, self._current, plaintext, bound)
        key_id, cipher = self._open_data_key(user_id, data_key)
        return self._seal(_BY_DATA_KEY, key_id, plaintext, bound, cipher)

    def open(self, sealed: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        """The plaintext; `ValueError` when bytes, place or key do not fit."""
        bound = f"{aad}|{user_id}"
        if sealed[:1] == _BY_FIELD_KEY:
            return self._open(sealed, bound, self._ciphers.get(sealed[1:_HEADER_BYTES]))
        if sealed[:1] == _BY_OWN_KEY and self._own is not None:
            key_id, cipher = self._own
            return self._open(sealed, bound, cipher if key_id == sealed[1:_HEADER_BYTES] else None)
        if sealed[:1] == _BY_DATA_KEY and data_key:
            key_id, cipher = self._open_data_key(user_id, data_key)
            return self._open(sealed, bound, cipher if key_id == sealed[1:_HEADER_BYTES] else None)
        raise ValueError("sealed under a key that is gone")

    def blind_index(self, value: str) -> bytes:
        """32 bytes that stand for a value in a UNIQUE index."""
        return self.blind_indexes(value)[0]

    def blind_indexes(self, value: str) -> tuple[bytes, ...]:
        """The same under the key in use, then under former ones: what a look-up must try."""
        return tuple(hmac.digest(key, value.encode(), "sha256") for key in self._blind_keys)

    def fingerprint(self, value: bytes) -> str:
        """64 hex digits that stand for a request's body."""
        return self.fingerprints(value)[0]

    def fingerprints(self, value: bytes) -> tuple[str, ...]:
        """The same under the key in use, then under former ones: how an answer may have been stored."""
        return tuple(hmac.digest(key, value, "sha256").hex() for key in self._fingerprint_keys)

    @property
    def turns_indexes(self) -> bool:
        """Whether rows may still be indexed under a former key."""
        return len(self._blind_keys) > 1

    def _seal(self, kind: bytes, key_id: bytes, plaintext: bytes, aad: str, cipher: AESGCM | None = None) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        header = kind + key_id
        sealed = (cipher or self._ciphers[key_id]).encrypt(nonce, plaintext, aad.encode() + header)
        return header + nonce + sealed

    def _open(self, sealed: bytes, aad: str, cipher: AESGCM | None) -> bytes:
        if cipher is None:
            raise ValueError("sealed under a key that is gone")
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], aad.encode() + header)
        except InvalidTag as error:
            raise ValueError("sealed bytes were moved or altered") from error

    def _open_data_key(self, user_id: str, wrapped: bytes) -> tuple[bytes, AESGCM]:
        cached = self._opened.get(user_id.encode() + wrapped)
        if cached is None:
            if wrapped[:1] != _BY_FIELD_KEY:
                raise ValueError("not a wrapped data key")
            key = self._open(wrapped, _wrap_aad(user_id), self._ciphers.get(wrapped[1:_HEADER_BYTES]))
            cached = (hashlib.sha256(b"data key id" + key).digest()[:_ID_BYTES], AESGCM(key))
            self._opened[user_id.encode() + wrapped] = cached
            if len(self._opened) > _OPENED_KEYS_MAX:
                self._opened.popitem(last=False)
        return cached


class HmacCallbackTokens:
    """`CallbackTokens`: hex(key version 1 ‖ shard 2 ‖ operation ULID 16 ‖ 16 bytes of HMAC-SHA-256).

    The code covers kind ‖ shard ‖ operation, so a token works at its own URL only. `keys` by version (0…255) keeps
    retired keys: calls in flight still answer to the former one. Hex, because other alphabets could spell a word
    that Safaricom refuses.
    """

    _TOKEN_BYTES = 1 + 2 + 16 + 16

    def __init__(self, *, public_url: str, keys: Mapping[int, bytes], current: int) -> None:
        if current not in keys or any(len(key) < _KEY_BYTES for key in keys.values()):
            raise ValueError("callback keys have at least 32 bytes each, and the current one is among them")
        self._base = public_url.rstrip("/")
        self._keys = dict(keys)
        self._current = current
        self._letters = {kind: letter for letter, kind in PATHS.items()}

    def url(self, kind: str, shard: int, operation_id: str) -> str:
        """Where the provider posts about this operation."""
        assert is_ulid(operation_id), "operations are ULIDs"
        subject = shard.to_bytes(2) + ulid_bytes(operation_id)
        token = self._current.to_bytes(1) + subject + self._code(self._keys[self._current], kind, subject)
        return f"{self._base}/cb/{self._letters[kind]}/{token.hex()}"

    def verify(self, kind: str, token: str) -> tuple[int, str] | None:
        """Shard and operation of a genuine token of this kind; None otherwise. Constant time, without a database."""
        try:
            raw = bytes.fromhex(token) if token.isascii() and len(token) == 2 * self._TOKEN_BYTES else b""
        except ValueError:
            return None
        if len(raw) != self._TOKEN_BYTES or raw.hex() != token:
            return None
        key = self._keys.get(raw[0])
        subject, code = raw[1:19], raw[19:]
        expected = self._code(key or b"\0" * _KEY_BYTES, kind, subject)
        if not hmac.compare_digest(code, expected) or key is None:
            return None
        operation_id = ulid_from_bytes(subject[2:])
        return (int.from_bytes(subject[:2]), operation_id) if is_ulid(operation_id) else None

    @staticmethod
    def _code(key: bytes, kind: str, subject: bytes) -> bytes:
        return hmac.digest(key, kind.encode() + subject, "sha256")[:16]


def security_credential(certificate_pem: bytes, initiator_password: str) -> str:
    """The initiator's password as Daraja wants it: RSA PKCS #1 v1.5 under the environment's certificate, base64.

    Safaricom's published certificates expired long ago and are still in use: only the key is taken. A bare public key
    is accepted as well. Raises `ValueError` when the text holds no RSA key.
    """
    holds_certificate = b"BEGIN CERTIFICATE" in certificate_pem
    certificate = x509.load_pem_x509_certificate(certificate_pem) if holds_certificate else None
    key = certificate.public_key() if certificate else load_pem_public_key(certificate_pem)
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the Daraja certificate holds no RSA key")  # noqa: TRY004 - it is a setting's value
    return base64.b64encode(key.encrypt(initiator_password.encode(), padding.PKCS1v15())).decode()


def _wrap_aad(user_id: str) -> str:
    return f"data_keys|wrapped|{user_id}"


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"penpay " + purpose, "sha256")
