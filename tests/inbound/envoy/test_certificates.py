"""An Envoy speaks to a deployment by TLS only where the certificate is that of the host, by somebody who is trusted."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
from softlaunch.inbound.envoy.route_files import write_routes
from softlaunch.policy.route import Route, Serving
from tests.support.builders import APP, STABLE
from tests.support.envoy import Process, envoy_path, needs_envoy, routed_policy
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

pytestmark = [needs_envoy, pytest.mark.long, pytest.mark.timeout(120)]


class Answering(BaseHTTPRequestHandler):
    """Says that it is there."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def make_certificate(folder: Path, host: str) -> Path:
    """A certificate of a host, with its key, that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(*kinds) + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def serving(certificate: Path) -> Iterator[int]:
    """A deployment behind a certificate; gives its port."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def status_by(folder: Path, url: str, trusted: Path) -> int:
    """What an Envoy answers that is to reach stable at an address and trusts these certificates."""
    listen = free_port()
    policy = routed_policy(url, url)
    assert policy.router is not None
    serving = Serving.of("salt", policy)
    places = Places(
        ("127.0.0.1", listen), ("127.0.0.1", free_port()), [("127.0.0.1", 9)], folder / "routes", trusted=trusted
    )
    write_routes(places.routes, Route(APP, 1, STABLE, serving))
    file = folder / "envoy.json"
    file.write_bytes(orjson.dumps(bootstrap(APP, serving, policy.router, places)))
    runs = [envoy_path() or "envoy", "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    envoy = Process(runs, folder / "envoy.log")
    envoy.start()
    found = []

    def answers() -> bool:
        try:
            found.append(httpx.get(f"http://127.0.0.1:{listen}/", timeout=10).status_code)
        except httpx.TransportError:
            return False
        return True

    try:
        wait_until(answers, "Envoy answers", 30)
    finally:
        envoy.kill()
    return found[-1]


def test_certificates_are_checked(tmp_path: Path) -> None:
    """Whose host it is, and who vouches for it: else no request, and no key, goes there."""
    right, other = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "other.example.com")
    with serving(right) as port:
        assert status_by(tmp_path, f"https://localhost:{port}", right) == 200
        assert status_by(tmp_path, f"https://localhost:{port}", other) == 503
        assert status_by(tmp_path, f"https://127.0.0.1:{port}", right) == 503
