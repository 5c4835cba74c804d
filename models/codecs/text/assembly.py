"""Joining generated tokens, as they arrive, to text."""

from collections.abc import Sequence

from models.codecs.text.codec import TextCodec

_INCOMPLETE = "\ufffd"
"""The character that a decoder writes in place of an incomplete one."""


class TextAssembly:
    """Joins tokens that arrive one by one to text, and releases text as soon as it is certain.

    A character of several tokens is held back until it is complete, and so is text that may yet become one of the stop
    strings. The text ends before the first stop string. A token that adds nothing, such as a lone space or a special
    token, is decoded again with the tokens after it, whose text may begin with a space.

    Attributes:
        stopped: whether a stop string was found.
    """

    def __init__(self, codec: TextCodec, stops: Sequence[str] = ()) -> None:
        self._codec, self._stops = codec, [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._n_released = 0
        self._context_start = 0  # the first of the released tokens with which the later ones are decoded
        self._held = ""
        self.stopped = False

    def feed(self, token_id: int) -> str:
        """Return the text that this token makes certain."""
        self._ids.append(token_id)
        before, now = self._decode_recent()
        if len(now) <= len(before) or now.endswith(_INCOMPLETE) or not now.startswith(before):
            return ""
        self._context_start, self._n_released = self._n_released, len(self._ids)
        return self._release(now[len(before) :])

    def finish(self) -> str:
        """Return the text that is still held back, after the last token."""
        before, now = self._decode_recent()
        if self.stopped:
            return ""
        self._n_released = len(self._ids)
        text = self._release(now[len(before) :] if now.startswith(before) else "") + self._held
        self._held = ""
        return text

    def _decode_recent(self) -> tuple[str, str]:
        """Return the text of the recent tokens, first without and then with those that are not released yet."""
        recent = self._ids[self._context_start :]
        return self._codec.decode(recent[: self._n_released - self._context_start]), self._codec.decode(recent)

    def _release(self, new: str) -> str:
        """Return the held and the new text up to the first stop string, or up to the beginning of a possible one."""
        if self.stopped:
            return ""
        text = self._held + new
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        n_held = max((_overlap(text, stop) for stop in self._stops), default=0)
        n_certain = len(text) - n_held
        self._held = text[n_certain:]
        return text[:n_certain]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest ending of the text that is a beginning of the stop string, but not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
