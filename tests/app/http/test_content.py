from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotAcceptable
from app.http.content import negotiate

OFFERED = ("application/json", "application/x-npy", "image/png")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0.5, application/x-npy", "application/x-npy"),
        ("application/json;q=0, */*", "application/x-npy"),
        ("image/png;q=0.9, application/x-npy;q=0.8", "image/png"),
        ("image/png;q=nonsense, application/x-npy;q=0.1", "application/x-npy"),
        (" image/png ; q=1.0 , ", "image/png"),
    ],
)
def test_the_best_offer_is_chosen(accept: str, chosen: str) -> None:
    assert negotiate(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "application/json;q=0", "nonsense"])
def test_where_nothing_is_accepted_the_offers_are_listed(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, application/x-npy, image/png"):
        negotiate(accept, OFFERED)


@given(st.text(max_size=60))
def test_no_header_whatever_is_a_fault(accept: str) -> None:
    with suppress(NotAcceptable):
        assert negotiate(accept, OFFERED) in OFFERED
