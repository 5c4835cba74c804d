"""The health check of the container finds the port by which the server can be reached, and asks it."""

import socket
import sys
import threading
from pathlib import Path

import pytest

from app.process.health_check import Unhealthy, check_health, find_server
from tests.app.server import serve

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
CONNECTED, LISTENING = "01", "0A"


def write_table(path: Path, *sockets: tuple[str, str, int]) -> None:
    """Write a table of sockets, each with its address, its state and its inode, as Linux writes them."""
    rows = [
        f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0\n"
        for address, state, inode in sockets
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADING + "".join(rows))


def open_socket(proc: Path, process: int, inode: int) -> None:
    folder = proc / str(process) / "fd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(len(list(folder.iterdir())))).symlink_to(f"socket:[{inode}]")


@pytest.mark.skipif(sys.byteorder == "big", reason="the addresses are those of little-endian machines")
@pytest.mark.parametrize(
    ("table", "address", "expected"),
    [
        ("tcp", "00000000:1F40", ("127.0.0.1", 8000)),
        ("tcp", "0100007F:0050", ("127.0.0.1", 80)),
        ("tcp", "0502A8C0:FFFF", ("192.168.2.5", 65535)),
        ("tcp6", f"{'0' * 32}:1F40", ("::1", 8000)),
        ("tcp6", "B80D0120000000000000000001000000:1F40", ("2001:db8::1", 8000)),
    ],
)
def test_the_address_is_one_that_reaches_the_server(
    tmp_path: Path, table: str, address: str, expected: tuple[str, int]
) -> None:
    write_table(tmp_path / "net" / table, (address, LISTENING, 7))
    open_socket(tmp_path, 1, 7)
    assert find_server(tmp_path) == expected


def test_the_server_is_the_first_process_that_listens(tmp_path: Path) -> None:
    ports = {11: ("00000000:0001", CONNECTED), 12: ("00000000:0002", LISTENING), 13: ("00000000:0003", LISTENING)}
    write_table(tmp_path / "net/tcp", *((address, state, inode) for inode, (address, state) in ports.items()))
    for process, inode in ((1, 99), (1, 11), (30, 13), (4, 12)):
        open_socket(tmp_path, process, inode)
    (tmp_path / "4/fd/file").symlink_to("/dev/null")
    (tmp_path / "2").mkdir()  # of another user, or ended meanwhile
    assert find_server(tmp_path) == ("127.0.0.1", 2)


def test_no_server_is_unhealthy(tmp_path: Path) -> None:
    write_table(tmp_path / "net/tcp")
    with pytest.raises(Unhealthy, match="No server listens"):
        check_health(tmp_path)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "is not ready: it answers with status 503"),
        (b"", "does not answer"),
    ],
)
def test_a_server_that_is_not_ready_is_unhealthy(tmp_path: Path, answer: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        write_table(tmp_path / "net/tcp", (f"0100007F:{port:04X}", LISTENING, 7))
        open_socket(tmp_path, 1, 7)
        thread = threading.Thread(target=answer_once, args=(listener, answer))
        thread.start()
        with pytest.raises(Unhealthy, match=f"The server on port {port} {reason}"):
            check_health(tmp_path)
        thread.join()


def answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has /proc/net")
def test_a_real_server_is_healthy_until_it_ends(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    with serve(tmp_path, "--models", "vanilla-ae-mnist") as server:
        for name in ("net", str(server.process.pid)):  # the server is the only process that the check sees
            (proc / name).symlink_to(Path("/proc") / name)
        assert find_server(proc) == server.address
        check_health(proc)
        server.process.terminate()
        server.process.wait(30)
        with pytest.raises(Unhealthy, match="No server listens"):
            check_health(proc)
