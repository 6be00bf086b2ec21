"""The key that signs receipts."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from penpay.adapters.anchor_files import public_key_hex


class Ed25519Receipts:
    """`penpay.http.edge.ReceiptSigner`."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = public_key_hex(seed)

    def sign(self, message: bytes) -> str:
        """The signature in hex; the same message always gets the same one."""
        return self._key.sign(message).hex()


def is_genuine(message: bytes, signature: str, public_key: str) -> bool:
    """Whether the owner of this public key signed this. Raises `ValueError` when the key is none."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
