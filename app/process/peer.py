"""Finds out that the client of a connection has left, also while nothing is read from it, and after it has ended."""

import asyncio
import select
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

IS_AVAILABLE = sys.platform == "linux"
"""True where the system reports the end of a connection that is not read."""
CHECK_S = 0.1
"""Time in seconds after which a client that has stopped sending is asked whether it still waits for its answer."""
CHECK_AGAIN_S = 5.0
"""Time in seconds after which it is asked again, and after which one is asked that has sent too much to be read."""
BLOCKED_BYTES = 2**14
"""Number of bytes that wait to be read from which the end of the connection may wait behind them at the client."""
INTERIM_ANSWER = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Bytes that every client of HTTP/1.1 skips (RFC 9110, 15.2), and that the system of one that has left refuses."""
MAX_EVENTS = 256
"""Maximum number of connections whose end is reported in one iteration of the event loop."""


class Peer:
    """The client of one connection, which is watched from the creation of this object until `forget`.

    To the server, a client that has left looks like one that has only stopped sending and waits for its answer (RFC
    9112, 9.6): in both cases, the connection ends after what was sent. If the answer has not begun a moment later, an
    interim answer is sent. A client that waits skips it; the system of one that has left resets the connection, which
    is aborted then. The same is done while so much waits to be read that no end of the connection could arrive.
    """

    def __init__(self, transport: asyncio.Transport, version_waiting: Callable[[], str | None]) -> None:
        """Watch a client from now on.

        Args:
            transport: the connection.
            version_waiting: returns the version of HTTP of the request that waits for the start of its answer, or None
                if there is no such request.
        """
        self._transport, self._version_waiting = transport, version_waiting
        self._loop = asyncio.get_running_loop()
        self._has_stopped = False
        self._check: asyncio.TimerHandle | None = None
        socket = transport.get_extra_info("socket")
        self._socket: int | None = None
        if IS_AVAILABLE and socket is not None:
            self._socket = socket.fileno()
            _ENDS.setdefault(self._loop, _Ends(self._loop)).watch(self._socket, self)
            self._check = self._loop.call_later(CHECK_AGAIN_S, self._ask_if_blocked)

    def forget(self) -> None:
        """Stop watching; must be called before the socket is closed."""
        if self._check is not None:
            self._check.cancel()
        if self._socket is not None:
            _ENDS[self._loop].forget(self._socket)

    def stopped_sending(self) -> None:
        """Find out soon whether the client has left, or waits for its answer."""
        if self._has_stopped:
            return
        self._has_stopped = True
        if self._check is not None:
            self._check.cancel()
        self._check = self._loop.call_later(CHECK_S, self._ask)

    def reset(self) -> None:
        """End the connection, because no half of it is of use any more."""
        self._transport.abort()

    def _ask(self) -> None:
        """Send an interim answer; clients of HTTP/1.0, which know none, are taken as having left."""
        version = self._version_waiting()
        if self._transport.is_closing():
            return
        if version == "1.1":
            self._transport.write(INTERIM_ANSWER)
        elif version is not None:
            self._transport.abort()
            return
        self._check = self._loop.call_later(CHECK_AGAIN_S, self._ask if self._has_stopped else self._ask_if_blocked)

    def _ask_if_blocked(self) -> None:
        if self._socket is not None and _n_unread(self._socket) >= BLOCKED_BYTES:
            self._ask()
        else:
            self._check = self._loop.call_later(CHECK_AGAIN_S, self._ask_if_blocked)


def _n_unread(socket: int) -> int:
    """Return the number of bytes that the system has received and that nobody has read."""
    import fcntl  # which only Unix has
    import termios

    n_bytes = array("i", [0])
    fcntl.ioctl(socket, termios.FIONREAD, n_bytes)
    return n_bytes[0]


class _Ends:
    """Reports the ends of connections to their peers.

    An event loop learns of an end only when it reads, and a server reads nothing while as much as it takes is waiting.
    An epoll of its own, which the loop watches in turn, waits for nothing but the ends of the sockets in it. It exists
    only while there are sockets.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._peers: dict[int, Peer] = {}

    def watch(self, socket: int, peer: Peer) -> None:
        """Report the end of a socket, and then its reset if it is not the same."""
        if not self._peers:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._report)
        self._peers[socket] = peer
        self._epoll.register(socket, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, socket: int) -> None:
        """Report no more about a socket. Without any, nothing is left of this object but itself."""
        if self._peers.pop(socket, None) is None:
            return
        with suppress(OSError):  # the system forgets a socket that is closed
            self._epoll.unregister(socket)
        if not self._peers:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _report(self) -> None:
        for socket, events in self._epoll.poll(0, MAX_EVENTS):
            peer = self._peers[socket]
            if events & (select.EPOLLHUP | select.EPOLLERR):
                peer.reset()
            else:
                self._epoll.modify(socket, select.EPOLLONESHOT)  # those two events are always reported
                peer.stopped_sending()


_ENDS: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Ends]" = WeakKeyDictionary()
