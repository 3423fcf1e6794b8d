"""Why a server can't listen, and what is left as it is."""

import errno
import os
import socket

import pytest

from softlaunch.core.listening import CantListenError, listening


def test_a_port_that_is_taken() -> None:
    """It says what to choose instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"127.0.0.1:{port}: the port is taken; choose another with --port"
        with pytest.raises(CantListenError, match=said), listening("127.0.0.1", port):
            socket.create_server(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(OSError(errno.EADDRNOTAVAIL, ""), "no such address; choose another with --host", id="elsewhere"),
        pytest.param(OSError(errno.EACCES, ""), "choose a port from 1024 on with --health-port", id="not allowed"),
        pytest.param(socket.gaierror(socket.EAI_NONAME, ""), "isn't known; choose another with --host", id="no host"),
    ],
)
def test_where_nobody_may_listen(error: OSError, said: str) -> None:
    """Addresses of IPv6 are shown in brackets."""
    with pytest.raises(CantListenError) as caught, listening("::5", 80, "--health-port"):
        raise error
    assert str(caught.value).startswith("can't listen on [::5]:80: ")
    assert said in str(caught.value)


def test_a_full_disk_is_not_taken_for_it() -> None:
    """What fails later, while it serves, isn't said to be the port's fault."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), listening("127.0.0.1", 80):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
