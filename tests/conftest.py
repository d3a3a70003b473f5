"""What every test gets: real recordings, a guard that keeps tests off the network, Hypothesis profiles."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# Deadlines and "too slow" judge the machine, not the code.
settings.register_profile(
    "quick", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("quick"), max_examples=200)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "quick")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real recordings shipped with the package."""
    return Path(str(files("overround") / "recordings"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the full recordings beside the project; tests that use it are marked slow."""
    folder = PROJECT_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.fail(f"this test reads the full recordings, but {folder} does not exist")
    return folder


def _is_loopback(host: object) -> bool:
    if host in {None, "", "localhost", b"localhost"}:
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_unless_loopback(address: object) -> None:
    # Unix-domain addresses are text or bytes and never leave the machine.
    if isinstance(address, tuple) and not _is_loopback(address[0]):
        raise PermissionError(f"a test tried to reach {address[0]!r}: tests talk to loopback only")


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    def guard(self: socket.socket, *args: Any) -> Any:
        _refuse_unless_loopback(args[-1])  # connect(address), sendto(data, [flags,] address)
        return method(self, *args)

    return guard


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every connection, datagram and name lookup that would leave this machine."""
    lookup = socket.getaddrinfo

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_unless_loopback((host,))
        return lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield
