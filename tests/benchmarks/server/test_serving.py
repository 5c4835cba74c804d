"""The benchmark of servers: what is asked, how servers start and end, what is reported."""

import json
import shutil
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.lib.servers import running
from benchmarks.server.serving import CASES, CONNECTIONS, RATIOS, Measured, Round, report


def test_every_body_is_json_with_one_text() -> None:
    for case in CASES:
        lines = case.bodies(["w1 w2", "w3"]).splitlines()
        assert [json.loads(line).get("input") or json.loads(line)["inputs"] for line in lines] in (
            [["w1 w2"], ["w3"]],
            ["w1 w2", "w3"],
        )


def test_a_server_ends_with_all_that_it_started(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "import argparse, http.server, signal, subprocess, sys\n"
        "parser = argparse.ArgumentParser(); parser.add_argument('--port', type=int)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('started', flush=True)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "http.server.HTTPServer(('127.0.0.1', parser.parse_args().port),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    with running(str(script), health="/nothing") as server:
        assert httpx.get(server.url + "/nothing").status_code == 404
        (child,) = psutil.Process(server.process_id).children()
    child.wait(timeout=5)
    assert not child.is_running()
    printed = capfd.readouterr()
    assert "started" in printed.err
    assert not printed.out


def test_a_report_has_rates_waits_and_ratios(tmp_path: Path) -> None:
    found = {
        name: Measured(
            {n: [Round(requests=10 * n, seconds=2.0, errors=n, p50_ms=1.5, p99_ms=9.25)] for n in CONNECTIONS}
        )
        for name in (case.name for case in CASES)
    }
    found["Manifold int8"].rounds[32] = [Round(3200, 1.0, 0, 1.0, 2.0)]
    report(found, tmp_path)
    text = (tmp_path / "serving.md").read_text()
    assert "| LitServe | 4 | 36 | 144 | 576 |" in text
    assert "| infinity | 1.5 / 9.2 |" in text.replace("9.3", "9.2")
    assert "| Manifold int8 / LitServe | 22.22 | 8 | holds |" in text
    assert "| Manifold float32 / infinity | 1.00 | 3.5 | falls short |" in text
    assert {name for own, their, _ in RATIOS for name in (own, their)} == set(found)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_asks_with_every_text(tmp_path: Path) -> None:
    from benchmarks.server.serving import wrk  # only where wrk is there

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
    with running(str(script), health="/") as server:
        told = wrk(server.url + "/", bodies, 2, 1.0)
    assert {"", '"one"', '"two"', '"bad"'} == set((tmp_path / "seen").read_text().splitlines())
    assert told.requests > 10
    assert told.requests / 4 < told.errors < told.requests / 2
    assert told.p50_ms <= told.p99_ms
