"""The guard itself: a test that could reach the network would prove nothing about the rest."""

import socket
from collections.abc import Callable

import pytest

OUTSIDE = ("192.0.2.1", 9)  # TEST-NET-1, RFC 5737: never routed


@pytest.mark.parametrize(
    "reach",
    [
        lambda s: s.connect(OUTSIDE),
        lambda s: s.connect_ex(OUTSIDE),
        lambda s: s.sendto(b"", OUTSIDE),
        lambda s: s.sendto(b"", 0, OUTSIDE),
    ],
    ids=["connect", "connect_ex", "sendto", "sendto with flags"],
)
def test_sockets_refuse_other_machines(reach: Callable[[socket.socket], object]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(PermissionError, match="loopback only"),
    ):
        reach(sock)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(PermissionError, match=r"venue\.invalid"):
        socket.getaddrinfo("venue.invalid", 443)


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert client.getpeername() == ("127.0.0.1", port)
