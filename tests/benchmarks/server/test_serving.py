"""The benchmark of `/encode` beside other servers: requests, ratios and reports."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.lib.servers import start_server
from benchmarks.server.serving import CASES, CONNECTIONS, TARGETS, Case, report_of
from benchmarks.server.wrk import WrkResult, run_wrk


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_body_is_json_with_one_text(case: Case) -> None:
    body = json.loads(case.body.replace("TEXT", "w1 w2"))
    assert (body.get("input") or body["inputs"]) in ("w1 w2", ["w1 w2"])


def test_a_report_has_rates_latencies_and_ratios(tmp_path: Path) -> None:
    results = {
        name: {n: [WrkResult(requests=10 * n, seconds=2.0, errors=n, p50_ms=1.5, p99_ms=9.25)] for n in CONNECTIONS}
        for name in (case.name for case in CASES)
    }
    results["Manifold int8"][32] = [WrkResult(3200, 1.0, 0, 1.0, 2.0)]
    report = report_of(results)
    text = report.markdown
    assert "| LitServe | 4 | 36 | 144 | 576 |" in text
    assert "| infinity | 1.5 / 9.2 |" in text.replace("9.3", "9.2")
    assert "| Manifold int8 / LitServe | 22.22 | 8 | holds |" in text
    assert "| Manifold float32 / infinity | 1.00 | 3.5 | falls short |" in text
    assert {name for own, peer, _ in TARGETS for name in (own, peer)} == set(results)
    report.write_picture(tmp_path)
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_every_body_and_counts_errors(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "import argparse, http.server, pathlib\n"
        "parser = argparse.ArgumentParser(); parser.add_argument('--port', type=int)\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def do_GET(self): self.do_POST()\n"
        "    def do_POST(self):\n"
        "        body = self.rfile.read(int(self.headers.get('content-length', 0)))\n"
        f"        open({str(tmp_path / 'seen')!r}, 'ab').write(body + b'\\n')\n"
        "        self.send_response(500 if b'bad' in body else 200)\n"
        "        self.send_header('content-length', '0'); self.end_headers()\n"
        "    def log_message(self, *_): pass\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', parser.parse_args().port), Handler).serve_forever()\n"
    )
    bodies = tmp_path / "bodies"
    bodies.write_text('"one"\n"two"\n"bad"\n')
    with start_server(str(script), health_path="/") as server:
        result = run_wrk(server.url + "/", bodies, n_connections=2, seconds=1.0)
    assert {"", '"one"', '"two"', '"bad"'} == set((tmp_path / "seen").read_text().splitlines())
    assert result.requests > 10
    assert result.requests / 4 < result.errors < result.requests / 2
    assert result.p50_ms <= result.p99_ms
