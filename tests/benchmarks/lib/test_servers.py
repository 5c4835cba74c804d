"""Servers that benchmarks start."""

from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.lib.processor import processor_time, processor_time_with_children
from benchmarks.lib.servers import start_server

SCRIPT = """
import argparse, http.server, signal, subprocess, sys
parser = argparse.ArgumentParser(); parser.add_argument('--port', type=int)
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('started', flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
address = ('127.0.0.1', parser.parse_args().port)
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_a_server_ends_with_everything_that_it_started(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "server.py"
    script.write_text(SCRIPT)
    with start_server(str(script), health_path="/nothing") as server:
        assert httpx.get(server.url + "/nothing").status_code == 404
        (child,) = psutil.Process(server.process_id).children()
        assert processor_time(server.process_id).event_loop >= 0
        assert processor_time_with_children(server.process_id) >= processor_time(server.process_id).total > 0
    child.wait(timeout=5)
    assert not child.is_running()
    printed = capfd.readouterr()
    assert "started" in printed.err
    assert not printed.out


def test_a_server_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text("")
    with pytest.raises(RuntimeError, match="did not become ready"), start_server(str(script)):
        pass
