"""Tokens to text as they arrive."""

from collections.abc import Sequence

from models.codecs.text.codec import TextCodec

_INCOMPLETE = "\ufffd"


class TextAssembly:
    """The text of tokens that come one by one, given out as soon as it is certain, and never taken back.

    A character of several tokens is held back until it is whole; so is what may yet become one of the `stops`. At the
    first of them the text ends: `stopped` is true, and the stop itself is not part of the text. A token that adds
    nothing, such as a lone space or a special one, is decoded again with those after it, which may begin with a space.
    """

    def __init__(self, codec: TextCodec, stops: Sequence[str] = ()) -> None:
        self._codec, self._stops = codec, [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._context = self._read = 0  # tokens before `_read` are given out; those from `_context` on help to decode
        self._held = ""
        self.stopped = False

    def feed(self, token_id: int) -> str:
        """The text that is certain now and was not before."""
        self._ids.append(token_id)
        before, now = self._decoded()
        if len(now) <= len(before) or now.endswith(_INCOMPLETE) or not now.startswith(before):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return self._released(now[len(before) :])

    def finish(self) -> str:
        """What was held back, once no token follows."""
        before, now = self._decoded()
        if self.stopped:
            return ""
        self._read = len(self._ids)
        text = self._released(now[len(before) :] if now.startswith(before) else "") + self._held
        self._held = ""
        return text

    def _decoded(self) -> tuple[str, str]:
        """The text of the last tokens, without those not given out and with them."""
        recent = self._ids[self._context :]
        return self._codec.decode(recent[: self._read - self._context]), self._codec.decode(recent)

    def _released(self, new: str) -> str:
        """What of `_held` and `new` can go: up to the first stop, or to the beginning of what may become one."""
        if self.stopped:
            return ""
        text = self._held + new
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        n_held = max((_overlap(text, stop) for stop in self._stops), default=0)
        cut = len(text) - n_held
        self._held = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
