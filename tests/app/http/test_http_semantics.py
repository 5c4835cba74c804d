"""What HTTP asks of the application, whatever server runs it: methods, codings, limits and targets."""

import gzip
import json
import urllib.error
import urllib.request
import zlib
from http.client import HTTPMessage

import numpy as np
import pytest

from tests.app.conftest import TEXT_MODEL
from tests.app.items import npy
from tests.app.process.raw_http import Answer, Connection, chunked, exchange, head_of, request
from tests.app.server import Served
from tests.conftest import TINY

IMAGE = [[0.5] * 4] * 4
BODY = json.dumps({"model": TINY, "inputs": IMAGE}).encode()
TEXTS = json.dumps({"model": TEXT_MODEL, "inputs": ["the dog"]}).encode()
LIVE = request("/health/live")
METRICS = "/metrics"
"""A path whose answer changes with every request, and with it its length."""
GET_PATHS = (
    *("/", "/docs", "/redoc", "/openapi.json", "/static/docs/favicon.png"),
    *("/models", f"/models/{TINY}", "/health/live", "/health/ready", "/info", METRICS, f"/cards/{TINY}"),
    *(f"/hf/{TINY}/health", f"/hf/{TINY}/info"),
    *("/v1/models", f"/v1/models/{TINY}", "/api/tags", "/api/ps", "/api/version"),
    *(f"/tei/{TINY}{ending}" for ending in ("", "/health", "/info", "/ping")),
    *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats"),
    *(
        f"/v2/models/{TINY}{version}{ending}"
        for version in ("", "/versions/1")
        for ending in ("", "/ready", "/config", "/stats")
    ),
)
VARIABLE = {"date", "x-request-id"}
TOO_LARGE = 40 * 2**20
"""More bytes than the longest body that a server reads by default."""
BOMB = b"".join([gzip.compress(b" " * 2**20)] * (TOO_LARGE // 2**20)) + gzip.compress(BODY)
"""Many members of a gzip file, which together are too large."""


def is_problem(answer: Answer, status: int) -> bool:
    return (
        answer.status == status
        and answer.headers["content-type"] == "application/problem+json"
        and answer.json()["status"] == status
    )


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_is_get_without_its_body(any_server: Served, path: str) -> None:
    with Connection(any_server) as connection:
        got = connection.send(request(path)).answer()
        head = connection.send(request(path, method="HEAD")).answer(method="HEAD")
        assert connection.send(LIVE).answer().json()["status"] == "alive"  # nothing came after the head
    assert head.status == got.status
    assert head.headers.keys() == got.headers.keys()
    variable = VARIABLE | ({"content-length"} if path == METRICS else set())
    assert {name: head.headers[name] for name in head.headers.keys() - variable} == {
        name: got.headers[name] for name in got.headers.keys() - variable
    }


def test_every_route_that_takes_get_is_among_them(any_server: Served) -> None:
    paths = exchange(any_server, request("/openapi.json")).json()["paths"]
    values = {"id": TINY, "model": TINY, "version": "1"}
    documented = {path.format(**values) for path, methods in paths.items() if "get" in methods}
    assert documented <= set(GET_PATHS)


@pytest.mark.parametrize("path", ["/nothing", "/models/nobody", "/static/nothing.png"])
def test_head_of_what_is_not_there_is_404(any_server: Served, path: str) -> None:
    with Connection(any_server) as connection:
        assert connection.send(request(path, method="HEAD")).answer(method="HEAD").status == 404
        assert connection.send(LIVE).answer().status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/encode"), ("HEAD", "/encode"), ("PUT", "/encode"), ("POST", "/info"), ("PUT", "/")]
)
def test_another_method_is_405_and_says_which_are_allowed(any_server: Served, method: str, path: str) -> None:
    answer = exchange(any_server, request(path, method=method), method=method)
    assert answer.status == 405
    allowed = {name.strip() for name in answer.headers["allow"].split(",")}
    assert allowed == ({"POST"} if path == "/encode" else {"GET", "HEAD"})


@pytest.mark.parametrize("path", ["/nothing", "/encode/nothing", "/models/nobody", "/static/nothing.png", "//encode"])
@pytest.mark.parametrize("body", [None, BODY], ids=["GET", "POST"])
def test_an_unknown_path_is_404(any_server: Served, path: str, body: bytes | None) -> None:
    if path.startswith(("/models", "/static")) and body is not None:
        pytest.skip("these take only GET")
    assert is_problem(exchange(any_server, request(path, body)), 404)


@pytest.mark.parametrize("path", ["/encode/", "/models/", "/info/", "/health/live/"])
@pytest.mark.parametrize("host", ["Host: api.example", "Host: evil.example:81"])
def test_a_slash_too_many_sends_no_client_to_an_address_of_its_own_choosing(
    any_server: Served, path: str, host: str
) -> None:
    body = BODY if path == "/encode/" else None
    answer = exchange(any_server, request(path, body, "X-Forwarded-Proto: https", host=host))
    location = answer.headers.get("location", "")
    assert answer.status in (200, 307, 308, 404)
    assert not location or (location.startswith("/") and not location.startswith("//"))


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "deflate"])
@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/encode", BODY, "application/json"),
        ("/tokenize", TEXTS, "application/json"),
        (f"/encode?model={TINY}", npy(np.full((2, 4, 4), 0.5, np.float32)), "application/x-npy"),
    ],
    ids=["json", "texts", "npy"],
)
def test_a_compressed_body_is_read_as_what_it_contains(
    any_server: Served, path: str, body: bytes, kind: str, coding: str
) -> None:
    lines = (f"Content-Type: {kind}", f"Content-Encoding: {coding}")
    plain = exchange(any_server, request(path, body, lines[0]))
    content = zlib.compress(body) if coding == "deflate" else gzip.compress(body)
    packed = exchange(any_server, request(path, content, *lines))
    assert (plain.status, packed.status) == (200, 200)
    assert packed.json() == plain.json()


def test_a_gzip_body_may_be_chunked_and_of_several_members(any_server: Served) -> None:
    packed = gzip.compress(BODY[:20]) + gzip.compress(BODY[20:])
    lines = ("Content-Encoding: gzip", "Transfer-Encoding: chunked")
    assert exchange(any_server, request("/encode", chunked(packed[:30], packed[30:]), *lines)).status == 200


def test_a_body_without_coding_may_say_so(any_server: Served) -> None:
    assert exchange(any_server, request("/encode", BODY, "Content-Encoding: identity")).status == 200


@pytest.mark.parametrize(
    "body",
    [BODY, gzip.compress(BODY)[:-9], gzip.compress(BODY)[:8], b"", zlib.compress(BODY)],
    ids=["not packed", "cut off", "only a head", "nothing", "zlib"],
)
def test_a_damaged_gzip_body_is_malformed(any_server: Served, body: bytes) -> None:
    assert is_problem(exchange(any_server, request("/encode", body, "Content-Encoding: gzip")), 400)


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "nonsense", "gzip, br", "identity\r\nContent-Encoding: gzip", "gzip, gzip"]
)
def test_another_coding_is_415_and_says_which_is_taken(any_server: Served, coding: str) -> None:
    answer = exchange(any_server, request("/encode", BODY, f"Content-Encoding: {coding}"))
    assert is_problem(answer, 415)
    assert "gzip" in answer.headers["accept-encoding"]  # RFC 9110, 15.5.16


@pytest.mark.parametrize("body", [BODY, gzip.compress(BODY), zlib.compress(BODY)[:-3]], ids=["not", "gzip", "cut off"])
def test_a_damaged_deflate_body_is_malformed(any_server: Served, body: bytes) -> None:
    assert is_problem(exchange(any_server, request("/encode", body, "Content-Encoding: deflate")), 400)


def test_a_deflate_body_that_grows_too_large_is_413(any_server: Served) -> None:
    bomb = zlib.compress(bytes(TOO_LARGE))
    assert is_problem(exchange(any_server, request("/encode", bomb, "Content-Encoding: deflate")), 413)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gzip_body_that_grows_too_large_is_413(any_server: Served, framing: str) -> None:
    body, lines = (BOMB, ()) if framing == "length" else (chunked(BOMB), ("Transfer-Encoding: chunked",))
    assert is_problem(exchange(any_server, request("/encode", body, "Content-Encoding: gzip", *lines)), 413)


@pytest.mark.parametrize("path", ["/encode", "/generate"])
def test_urllib_which_sends_everything_before_it_reads_is_told_that_its_body_is_too_large(
    any_server: Served, path: str
) -> None:
    body = b"[" + b" " * TOO_LARGE + b"]"
    with pytest.raises(urllib.error.HTTPError) as caught:
        post_by_urllib(any_server, path, body)
    with caught.value as answer:
        assert answer.code == 413
        assert json.loads(answer.read())["type"] == "/errors/payload-too-large"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nothing", {}, 404),
        ("/info", {}, 405),
        ("/encode", {"Content-Type": "text/plain"}, 415),
        ("/encode", {"X-Timeout-Ms": "soon"}, 422),
    ],
)
def test_urllib_is_told_what_is_wrong_before_its_body_is_read(
    any_server: Served, path: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post_by_urllib(any_server, path, b"[" + b" " * 2**23 + b"]", headers)
    with caught.value as answer:
        assert answer.code == status


def post_by_urllib(server: Served, path: str, body: bytes, headers: dict[str, str] | None = None) -> HTTPMessage:
    given = {"Content-Type": "application/json", **(headers or {})}
    with urllib.request.urlopen(urllib.request.Request(server.url + path, body, given), timeout=30) as answer:  # noqa: S310
        message: HTTPMessage = answer.headers
        return message


def test_a_body_too_large_is_refused_by_its_length_before_it_is_sent(any_server: Served) -> None:
    lines = (f"Content-Length: {TOO_LARGE}", "Expect: 100-continue")
    assert is_problem(exchange(any_server, head_of(request("/encode", b"", *lines))), 413)


@pytest.mark.parametrize("lines", [(), ("Connection: close",)], ids=["kept alive", "closed"])
def test_a_chunked_body_too_large_is_refused_while_it_is_sent(any_server: Served, lines: tuple[str, ...]) -> None:
    head = head_of(request("/encode", b"", "Transfer-Encoding: chunked", *lines))
    with Connection(any_server) as connection:
        connection.send(head, *[b"100000\r\n%s\r\n" % (b" " * 2**20)] * (TOO_LARGE // 2**20), b"0\r\n\r\n")
        assert is_problem(connection.answer(), 413)


def test_requests_behind_a_refused_body_are_answered(any_server: Served) -> None:
    with Connection(any_server) as connection:
        connection.send(request("/encode", b" " * (TOO_LARGE - 2**20), "Content-Type: text/plain"), LIVE)
        assert connection.answer().status == 415
        assert connection.answer().json()["status"] == "alive"


def test_a_pair_of_pipelined_requests_is_answered_in_order(any_server: Served) -> None:
    with Connection(any_server) as connection:
        connection.send(request("/encode", BODY) + request("/tokenize", TEXTS))
        assert connection.answer().json()["model"] == TINY
        assert connection.answer().json()["model"] == TEXT_MODEL


def test_an_expected_continuation_precedes_the_answer(any_server: Served) -> None:
    message = request("/encode", BODY, "Expect: 100-continue")
    head = head_of(message)
    with Connection(any_server) as connection:
        assert connection.send(head).answer().status == 100
        assert connection.send(message[len(head) :]).answer().status == 200
