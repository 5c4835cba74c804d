"""The health check of the container: tells whether the server beside it is ready.

`python3 -I -m app.process.health_check` ends with the exit code 0 if it is, and otherwise with 1 and a sentence on
standard error. It asks Linux for the address on which the server listens, so that it is right whether an option, a
variable or a file of settings chose the port, and also if the system chose it.
"""

import http.client
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

PROC = Path("/proc")
LISTENING = "0A"
"""The state of a socket that listens, in /proc/net/tcp (Linux, include/net/tcp_states.h)."""
WORD_BYTES = 4
"""Number of bytes that /proc/net/tcp writes as one number; an IPv6 address has four of these numbers."""
TIMEOUT_S = 3.0


class Unhealthy(Exception):
    """Error: no server listens, or the one that does is not ready."""


def check_health(proc: Path = PROC) -> None:
    """Return if the server is ready.

    Raises:
        Unhealthy: it is not.
    """
    host, port = find_server(proc)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unhealthy(f"The server on port {port} does not answer: {error}.") from error
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        raise Unhealthy(f"The server on port {port} is not ready: it answers with status {status}.")


def find_server(proc: Path = PROC) -> tuple[str, int]:
    """Return the host and port at which the server can be reached.

    The server is the first process that listens, because a container starts no other program before it.

    Raises:
        Unhealthy: no process of this user listens.
    """
    listeners = _find_listeners(proc)
    for process in sorted(int(folder.name) for folder in proc.iterdir() if folder.name.isdigit()):
        for inode in _socket_inodes(proc / str(process)):
            if inode in listeners:
                return listeners[inode]
    raise Unhealthy("No server listens.")


def _find_listeners(proc: Path) -> dict[str, tuple[str, int]]:
    """Return the host and port of each socket that listens, by its inode."""
    found = {}
    for table in ("tcp", "tcp6"):
        path = proc / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            columns = line.split()
            local_address, state, inode = columns[1], columns[3], columns[9]
            if state == LISTENING:
                host, port = local_address.split(":")
                found[inode] = (_reachable_host(host), int(port, 16))
    return found


def _reachable_host(hexadecimal: str) -> str:
    """Return an address of /proc/net/tcp, or that of this machine if the socket listens on all addresses."""
    raw = bytes.fromhex(hexadecimal)
    words = [raw[start : start + WORD_BYTES] for start in range(0, len(raw), WORD_BYTES)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    address = ip_address(b"".join(words))
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return str(address)


def _socket_inodes(process: Path) -> Iterator[str]:
    """Yield the inodes of the sockets of a process; none if it is another user's, or has ended."""
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                    yield found[1]


def main() -> None:
    """Exit with 0 if the server is ready, and otherwise with 1 and the reason."""
    try:
        check_health()
    except Unhealthy as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
