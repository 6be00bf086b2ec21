"""The initiator's credential: RSA PKCS#1 v1.5 under a certificate that expired long ago, as the published ones did."""

import base64
import binascii
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from penpay.sandbox.config import DarajaKnobs, SandboxConfig

WRONG = "2001"
LOCKED = "8006"


def _load_or_make(data_dir: Path) -> tuple[rsa.RSAPrivateKey, Path]:
    key_path, certificate_path = data_dir / "initiator.key", data_dir / "certificate.pem"
    if key_path.exists() and certificate_path.exists():
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key, certificate_path
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apicrypt.sandbox.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2014, 11, 11, tzinfo=UTC))
        .not_valid_after(datetime(2016, 11, 11, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    key_path.chmod(0o600)
    certificate_path.write_bytes(certificate.public_bytes(pem))
    return key, certificate_path


class Initiator:
    """Judges `Initiator` and `SecurityCredential`. Too many wrong ones in a row lock the credential (8006)."""

    def __init__(self, config: SandboxConfig, knobs: DarajaKnobs) -> None:
        self._config = config
        self._knobs = knobs
        self._key, self.certificate_path = _load_or_make(config.data_dir)
        self._good: set[str] = set()
        self._failures = 0

    def unlock(self) -> None:
        self._failures = 0

    def judge(self, name: str, credential: str) -> str:
        """The result code that this initiator earns: empty when it may go on, else 2001 or 8006."""
        if self._failures >= self._knobs.credential_tries:
            return LOCKED
        if name == self._config.initiator_name and (credential in self._good or self._opens(credential)):
            self._failures = 0
            return ""
        self._failures += 1
        return WRONG

    def _opens(self, credential: str) -> bool:
        try:
            plain = self._key.decrypt(base64.b64decode(credential, validate=True), padding.PKCS1v15())
        except (binascii.Error, ValueError):
            return False
        if plain != self._config.initiator_password.encode():
            return False
        self._good.add(credential)
        return True
