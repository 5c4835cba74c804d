"""The shutdown of a real server under load loses no request."""

import asyncio
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from app.process.drain import accept_no_more
from tests.app.items import images
from tests.app.server import n_logged_requests, serve, wait_logged

pytestmark = pytest.mark.anyio

MODEL = "vanilla-ae-mnist"
N_CLIENTS = 64
LIMITS = httpx.Limits(max_connections=N_CLIENTS)


async def test_sigterm_under_load_loses_no_accepted_request(tmp_path: Path) -> None:
    body = {"inputs": images(2, side=28).tolist()}
    answered: Counter[int] = Counter()
    lost: list[httpx.TransportError] = []

    async def request_until_closed(http: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await http.post("/reconstruct", json=body)
            except httpx.ConnectError:
                return  # the port is closed: never accepted
            except httpx.TransportError as error:
                lost.append(error)
                return
            answered[answer.status_code] += 1

    long_drain = ("--drain-ms", "3000")  # a client that is starved for longer may send on a connection being closed
    with serve(tmp_path, "--models", MODEL, *long_drain) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30, limits=LIMITS) as http:
            tasks = [asyncio.create_task(request_until_closed(http)) for _ in range(N_CLIENTS)]
            while answered[200] < 4 * N_CLIENTS:
                await asyncio.sleep(0)
            served.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*tasks)
        assert served.process.wait(30) in (0, -signal.SIGTERM)
        assert lost == []
        assert set(answered) == {200}
        assert n_logged_requests(served.log, "/reconstruct") == answered[200]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has filters on sockets")
def test_a_port_that_accepts_no_more_keeps_the_connections_that_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        waiting = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accept_no_more(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.3)
        for client in waiting:
            client.sendall(b"?")
            accepted, _ = listener.accept()
            assert accepted.recv(1) == b"?"
            accepted.close()
            client.close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_requests_whose_heads_have_begun_to_arrive_are_waited_for_but_not_for_long(tmp_path: Path) -> None:
    with serve(tmp_path, "--models", MODEL, "--drain-ms", "100") as served:
        with (
            socket.create_connection(served.address, timeout=30) as going_on,
            socket.create_connection(served.address, timeout=30) as stuck,
        ):
            for client in (going_on, stuck):
                client.sendall(b"GET /health/live HTTP/1.1\r\nhost: here")
            served.process.send_signal(signal.SIGTERM)
            wait_logged(served, "Shutting down")
            going_on.sendall(b"\r\n\r\n")
            answers = [client.makefile("rb").read() for client in (going_on, stuck)]  # to the end
        assert answers[0].startswith(b"HTTP/1.1 200 ")
        assert answers[1] == b""
        served.process.wait(20)  # or raises


async def test_readiness_is_red_while_draining(tmp_path: Path) -> None:
    with serve(tmp_path, "--models", MODEL, "--drain-ms", "3000") as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as http:
            served.process.send_signal(signal.SIGTERM)
            while (answer := await http.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0)
            assert answer.json()["status"] == "draining"
            assert answer.headers["connection"] == "close"
            assert (await http.get("/health/live")).status_code == 200
