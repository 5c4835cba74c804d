"""HTTP/1.1 as RFC 9110 and 9112 have it, in bytes, on each kind of server."""

import json

import pytest

from tests.app.conftest import TEXT_MODEL
from tests.app.process.raw_http import Connection, chunked, exchange, head_of, request
from tests.app.server import Served
from tests.conftest import TINY

BODY = json.dumps({"model": TINY, "inputs": [[0.5] * 4] * 4}).encode()
STREAM = json.dumps(
    {"model": TEXT_MODEL, "inputs": ["the dog"], "parameters": {"max_new_tokens": 3, "stream": True}}
).encode()
LIVE = request("/health/live")
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
TLS = ("Upgrade: TLS/1.3", "Connection: keep-alive, upgrade")
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")
CHUNKED = "Transfer-Encoding: chunked"
EXPECT = "Expect: 100-continue"

ONLY_TUNED = {
    "test_the_body_of_a_request_that_offers_an_upgrade_is_its_own",
    "test_the_body_may_follow_an_offered_upgrade_in_another_packet",
    "test_a_body_behind_an_offered_upgrade_is_not_a_request",
    "test_requests_before_and_after_an_offered_upgrade_are_answered",
    "test_a_stream_to_http_1_0_is_not_chunked",
    "test_http_1_0_expects_no_interim_answer",
    "test_a_request_without_exactly_one_valid_host_is_refused",
    "test_white_space_around_a_value_is_none_of_it",
    "test_an_expectation_with_white_space_is_met",
    "test_trailers_are_not_headers",
    "test_a_head_of_more_than_64_kib_is_refused",
    "test_a_malformed_request_is_answered_with_problem_details",
    "test_a_malformed_request_is_refused_after_the_answer_to_the_one_before",
    "test_a_malformed_body_is_refused_while_the_application_waits_for_it",
}
"""What uvicorn's own protocol does otherwise, and no application can mend."""


@pytest.fixture
def server(any_server: Served, request: pytest.FixtureRequest) -> Served:
    if any_server.kind != "tuned" and request.function.__name__ in ONLY_TUNED:
        pytest.skip("uvicorn's own protocol does otherwise")
    return any_server


def statuses(server: Served, n: int, *pieces: bytes) -> list[int]:
    """Return the statuses of `n` answers, and check that the connection then serves another request."""
    with Connection(server) as connection:
        connection.send(*pieces)
        found = [connection.answer().status for _ in range(n)]
        assert connection.send(LIVE).answer().json()["status"] == "alive"
        return found


def is_closed_after(connection: Connection) -> bool:
    return connection.read_to_end() == b""


@pytest.mark.parametrize("offer", [H2C, TLS, WEBSOCKET], ids=["h2c", "tls", "websocket"])
def test_an_upgrade_may_be_offered_without_a_body(server: Served, offer: tuple[str, ...]) -> None:
    assert statuses(server, 1, request("/info", None, *offer)) == [200]


@pytest.mark.parametrize("offer", [H2C, TLS, WEBSOCKET], ids=["h2c", "tls", "websocket"])
def test_the_body_of_a_request_that_offers_an_upgrade_is_its_own(server: Served, offer: tuple[str, ...]) -> None:
    assert statuses(server, 1, request("/encode", BODY, *offer)) == [200]
    assert statuses(server, 1, request("/encode", chunked(BODY[:7], BODY[7:]), CHUNKED, *offer)) == [200]
    assert statuses(server, 1, request("/models", b"", "Content-Length: 0", *offer, method="GET")) == [200]


def test_the_body_may_follow_an_offered_upgrade_in_another_packet(server: Served) -> None:
    for message in (request("/encode", BODY, EXPECT, *H2C), request("/encode", chunked(BODY), CHUNKED, EXPECT, *H2C)):
        head = head_of(message)
        with Connection(server) as connection:
            assert connection.send(head).answer().status == 100  # so the head was received alone
            assert connection.send(message[len(head) :]).answer().status == 200
            assert connection.send(LIVE).answer().status == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_behind_an_offered_upgrade_is_not_a_request(server: Served, framing: str) -> None:
    hidden = request("/models")
    body, lines = (hidden, ()) if framing == "length" else (chunked(hidden), (CHUNKED,))
    message = request("/encode", body, *lines, EXPECT, *H2C)
    assert statuses(server, 2, message) == [100, 400]
    with Connection(server) as connection:
        assert connection.send(head_of(message)).answer().status == 100
        assert connection.send(body).answer().status == 400
        assert connection.send(LIVE).answer().json()["status"] == "alive"


def test_requests_before_and_after_an_offered_upgrade_are_answered(server: Served) -> None:
    offered = request("/encode", BODY, *H2C)
    assert statuses(server, 5, LIVE + offered + request("/nothing") + offered + request("/info", None, *H2C)) == [
        *(200, 200, 404, 200, 200)
    ]


def test_a_length_may_begin_with_thousands_of_zeros(server: Served) -> None:
    zeros = "0" * 5000
    assert statuses(server, 1, request("/encode", BODY, f"Content-Length: {zeros}{len(BODY)}")) == [200]
    assert statuses(server, 1, request("/encode", b"", f"Content-Length: {zeros}")) == [400]


@pytest.mark.parametrize("connection", ["", "Connection: keep-alive", "Connection: close"])
def test_http_1_0_is_answered_and_the_connection_closed(server: Served, connection: str) -> None:
    lines = (connection,) if connection else ()
    with Connection(server) as client:
        answer = client.send(request("/encode", BODY, *lines, version="1.0", host="")).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert answer.json()["model"] == TINY
        assert is_closed_after(client)


@pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",), ("Host: x", "Accept: text/event-stream")])
def test_a_stream_to_http_1_0_is_not_chunked(server: Served, lines: tuple[str, ...]) -> None:
    with Connection(server) as client:
        answer = client.send(request("/generate", STREAM, *lines, version="1.0", host="")).answer()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert not {"transfer-encoding", "content-length"} & answer.headers.keys()
        *events, end = answer.body.split(b"\n\n")
        assert all(event.startswith(b"data: {") for event in events)
        assert "usage" in json.loads(events[-1].removeprefix(b"data: "))
        assert end == b""


def test_http_1_0_expects_no_interim_answer(server: Served) -> None:
    assert exchange(server, request("/encode", BODY, EXPECT, version="1.0")).status == 200


def test_a_stream_to_http_1_1_is_chunked_and_the_connection_goes_on(server: Served) -> None:
    with Connection(server) as client:
        answer = client.send(request("/generate", STREAM)).answer()
        assert (answer.status, answer.headers["transfer-encoding"]) == (200, "chunked")
        assert client.send(LIVE).answer().status == 200


@pytest.mark.parametrize(
    "lines",
    [(), ("Host: x", "Host: x"), ("Host: x", "host: y"), ("Host: a b",), ("Host: a/b",), ("Host: user@x",)],
    ids=["none", "twice", "two", "with a space", "with a path", "with a user"],
)
@pytest.mark.parametrize("body", [None, BODY], ids=["GET", "POST"])
def test_a_request_without_exactly_one_valid_host_is_refused(
    server: Served, lines: tuple[str, ...], body: bytes | None
) -> None:
    path = "/info" if body is None else "/encode"
    answer = exchange(server, request(path, body, *lines, "X-Request-Id: mine", host=""))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Host" in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("host", ["Host:", "Host: ", "Host: [::1]:80", "HOST: example.org:8000", "Host: a%20b_c"])
def test_one_host_of_any_form_will_do(server: Served, host: str) -> None:
    assert exchange(server, request("/info", host=host)).status == 200


def test_a_target_may_name_the_host_too(server: Served) -> None:
    assert exchange(server, request("http://x/info")).status == 200


@pytest.mark.parametrize("space", ["{} ", "{}\t", "{} \t ", "  {}", "\t{}\t"])
def test_white_space_around_a_value_is_none_of_it(server: Served, space: str) -> None:
    lines = (f"X-Request-Id:{space.format('mine')}", f"X-Timeout-Ms:{space.format('5000')}")
    answer = exchange(server, request("/encode", BODY, *lines))
    assert (answer.status, answer.headers["x-request-id"]) == (200, "mine")


@pytest.mark.parametrize("line", ["Content-Type: application/json \t", "Content-Length: {} ", "Connection: close  "])
def test_white_space_after_a_value_that_the_parser_reads_is_none_of_it(server: Served, line: str) -> None:
    assert exchange(server, request("/encode", BODY, line.format(len(BODY)))).status == 200


def test_an_expectation_with_white_space_is_met(server: Served) -> None:
    message = request("/encode", BODY, EXPECT + " \t")
    head = head_of(message)
    with Connection(server) as connection:
        assert connection.send(head).answer().status == 100
        assert connection.send(message[len(head) :]).answer().status == 200


@pytest.mark.parametrize("expect", [EXPECT, EXPECT.upper().replace("-CONTINUE", "-Continue")])
def test_an_expectation_is_met_before_the_body_is_sent(server: Served, expect: str) -> None:
    message = request("/encode", BODY, expect)
    head = head_of(message)
    with Connection(server) as connection:
        assert connection.send(head).answer().status == 100
        assert connection.send(message[len(head) :]).answer().status == 200
        assert connection.send(LIVE).answer().status == 200


def test_pipelined_requests_are_answered_in_order(server: Served) -> None:
    encode = request("/encode", BODY)
    assert statuses(server, 2, encode + encode) == [200, 200]
    assert statuses(server, 4, encode + request("/nothing") + request("/generate", STREAM) + encode) == [
        *(200, 404, 200, 200)
    ]


def test_a_request_may_arrive_byte_by_byte(server: Served) -> None:
    assert statuses(server, 1, *(bytes([byte]) for byte in request("/encode", BODY))) == [200]


@pytest.mark.parametrize(
    "body",
    [chunked(BODY), chunked(*(bytes([byte]) for byte in BODY)), chunked(BODY).replace(b"\r\n", b";name=value\r\n", 1)],
    ids=["one chunk", "a chunk a byte", "with an extension"],
)
def test_a_chunked_body_is_read(server: Served, body: bytes) -> None:
    assert statuses(server, 1, request("/encode", body, CHUNKED)) == [200]


def test_trailers_are_not_headers(server: Served) -> None:
    trailers = b"X-Request-Id: theirs\r\nContent-Type: text/plain\r\nX-Timeout-Ms: nonsense\r\n"
    answer = exchange(server, request("/encode", chunked(BODY, trailers=trailers), CHUNKED))
    assert answer.status == 200
    assert answer.headers["x-request-id"] != "theirs"


@pytest.mark.parametrize("line", ["X-Long: {}", "X-Short: 1\r\nCookie: a={}"])
def test_a_long_head_is_read(server: Served, line: str) -> None:
    assert exchange(server, request("/info", None, line.format("a" * 60_000))).status == 200


def test_a_head_of_more_than_64_kib_is_refused(server: Served) -> None:
    for message in (
        request("/info", None, "X-Long: " + "a" * 70_000),
        request("/info?" + "a" * 70_000),
        request("/info", None, *["X-Short: 1"] * 7_000),
        request("/encode", BODY, "X-Long: " + "a" * 200_000),
    ):
        answer = exchange(server, message)
        assert (answer.status, answer.json()["type"]) == (431, "/errors/head-too-large")


MALFORMED = {
    "no request": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method in small letters": LIVE.replace(b"GET", b"get"),
    "an unknown version": LIVE.replace(b"/1.1", b"/1.7"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space in the target": LIVE.replace(b"/health", b"/he alth"),
    "a control character in the target": LIVE.replace(b"/health", b"/he\0alth"),
    "a target of another form": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before a colon": LIVE.replace(b"Host:", b"Host :"),
    "a header without name": LIVE.replace(b"Host:", b": a\r\nHost:"),
    "a header without colon": LIVE.replace(b"Host:", b"Header\r\nHost:"),
    "a folded header": LIVE.replace(b"Host: x", b"Host: x\r\n y"),
    "a control character in a header": LIVE.replace(b"Host: x", b"Host: x\r\nX: a\0b"),
    "a length and chunked": request("/encode", chunked(BODY), "Content-Length: 5", CHUNKED),
    "two lengths": request("/encode", BODY, "Content-Length: 5", "Content-Length: 6"),
    "a negative length": request("/encode", BODY, "Content-Length: -1"),
    "a length with a sign": request("/encode", BODY, "Content-Length: +1"),
    "a length beyond all bounds": request("/encode", BODY, "Content-Length: " + "9" * 40),
    "an unknown transfer coding": request("/encode", BODY, "Transfer-Encoding: gzip"),
    "chunked twice": request("/encode", chunked(BODY), "Transfer-Encoding: chunked, gzip"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_request_is_refused_and_the_connection_closed(server: Served, kind: str) -> None:
    with Connection(server) as connection:
        assert connection.send(MALFORMED[kind]).answer().status == 400
        assert is_closed_after(connection)


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_request_is_answered_with_problem_details(server: Served, kind: str) -> None:
    answer = exchange(server, MALFORMED[kind])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (400, "/errors/malformed-request")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert f'"request_id":"{problem["request_id"]}"' in server.log.read_text()


def test_a_malformed_request_is_refused_after_the_answer_to_the_one_before(server: Served) -> None:
    with Connection(server) as connection:
        connection.send(request("/encode", BODY) + request("/generate", STREAM) + MALFORMED["no request"])
        assert [connection.answer().status for _ in range(3)] == [200, 200, 400]
        assert is_closed_after(connection)


@pytest.mark.parametrize("before", [b"", request("/encode", BODY)], ids=["alone", "behind another"])
def test_a_malformed_body_is_refused_while_the_application_waits_for_it(server: Served, before: bytes) -> None:
    with Connection(server) as connection:
        connection.send(before + request("/encode", b'5\r\n{"mod\r\nno length\r\n', CHUNKED))
        answers = [connection.answer() for _ in range(2 if before else 1)]
        assert [answer.status for answer in answers] == ([200, 400] if before else [400])
        assert answers[-1].json()["type"] == "/errors/malformed-request"
        assert is_closed_after(connection)


def test_empty_lines_before_a_request_are_skipped(server: Served) -> None:
    assert statuses(server, 1, b"\r\n\r\n" + request("/encode", BODY)) == [200]


def test_the_names_of_headers_have_no_case(server: Served) -> None:
    message = request("/encode", BODY, "X-Request-Id: mine")
    head = head_of(message)
    request_line, end, headers = head.partition(b"\r\n")
    for changed in (headers.upper().replace(b"MINE", b"mine"), headers.lower()):
        answer = exchange(server, request_line + end + changed + message[len(head) :])
        assert (answer.status, answer.headers["x-request-id"]) == (200, "mine")


def test_a_connection_goes_on_until_the_client_asks_to_close_it(server: Served) -> None:
    with Connection(server) as connection:
        for _ in range(3):
            assert connection.send(request("/encode", BODY)).answer().status == 200
        answer = connection.send(request("/encode", BODY, "Connection: close")).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert is_closed_after(connection)


def test_an_unhooked_server_says_once_what_is_missing(any_server: Served) -> None:
    lines = [line for line in any_server.log.read_text().splitlines() if "uvicorn's own HTTP protocol" in line]
    if any_server.kind == "unhooked":
        (line,) = lines
        assert json.loads(line)["level"] == "warning"
        assert "HttpToolsProtocol._start_asgi_task" in json.loads(line)["message"]
    else:
        assert lines == []
