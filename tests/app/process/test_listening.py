import pytest

from app.process.serve import is_loopback, listen


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])  # noqa: S104
def test_what_other_machines_can_reach_is_recognised(host: str, expected: bool) -> None:
    with listen(host, 0) as listener:
        assert is_loopback(listener) == expected
