"""Parsing a large JSON text in parts, none of which holds the interpreter's lock for more than about two milliseconds.

A part ends at a comma, at the beginning of a long string, or at the end of the text. A bracket that closes a list or
object of an earlier part, or opens one that a later part closes, is read by itself; the complete elements between two
such brackets are given to orjson together.
"""

from typing import Any, Literal

import numpy as np

from app.concurrency.large_values import free_in_parts
from app.errors import MalformedBody, PayloadTooLarge
from app.http.json_outline import (
    CLOSES_LIST,
    CLOSES_OBJECT,
    COMMA,
    LONG_STRING_BYTES,
    OPENS_LIST,
    OPENS_OBJECT,
    JsonLimits,
    Outline,
    OutlineReader,
)
from app.http.json_text import loads, loads_string, malformed_part
from models.cancellation import stop_if_abandoned

MAX_GAP_BYTES = 2**20
"""Maximum number of bytes without a comma, outside of strings: more would be white space, or a very long name."""
MAX_MEMBERS = 2**17
"""Maximum number of members of one object. Adding one more to millions can take a tenth of a second."""
_QUOTE = ord('"')
_WHITE_SPACE = b" \t\n\r"
_State = Literal["begun", "separated", "complete"]
"""What a list or object ends with so far: its bracket, a comma, or an element."""
_LIST: dict[_State, str] = {"begun": "[", "separated": '["",', "complete": '[""'}
_OBJECT: dict[_State, str] = {"begun": "{", "separated": '{"":"",', "complete": '{"":""'}
_ROOT: dict[_State, str] = {"begun": "", "complete": '""'}
"""Short texts that stand for all that comes before a place, to find out what is wrong there."""


def parse_parts(data: bytes, limits: JsonLimits) -> Any:
    """Return the value of a JSON text in UTF-8, which must be valid, but may have surrogates.

    Raises:
        MalformedBody: the text is not JSON.
        PayloadTooLarge: it has more values, lists or digits than the limits allow.
        WorkAbandoned: the caller has left.
    """
    root: list[Any] = []
    parser, reader = _PartsParser(data, root), OutlineReader(data, limits)
    try:
        for end, outline in reader.read():
            stop_if_abandoned()
            parser.add(outline, end if reader.string_start < 0 else reader.string_start)
        parser.finish(reader.string_start)
    except BaseException:
        del parser
        free_in_parts(root)
        raise
    return root[0]


class _PartsParser:
    """Reads a text; its value becomes the only element of `root`."""

    def __init__(self, data: bytes, root: list[Any]) -> None:
        self._data = data
        self._at = 0  # what is before this place is in the value
        self._state: _State = "begun"
        self._open: list[list[Any] | dict[str, Any]] = [root]
        self._outline = Outline.empty()  # the marks that have not been read

    def add(self, outline: Outline, end: int) -> None:
        """Read the text up to the last comma of the next chunk; `end` is its end, or that of its complete strings."""
        if outline.long_string is not None:
            start, stop = outline.long_string
            name = self._begin_element(self._read_brackets(self._outline), start)
            if name is not None:
                self._add(name, loads_string(self._data, start, stop))
                self._at, self._state = stop + 1, "complete"
            self._outline = Outline.empty()
        outline = self._outline.followed_by(outline)
        commas = np.flatnonzero(outline.marks == COMMA)
        if len(commas):
            last = int(commas[-1])
            self._read_brackets(outline.part(0, last))
            self._separate(int(outline.places[last]))
            outline = outline.part(last + 1)
        self._outline = outline
        if end - self._at > MAX_GAP_BYTES:
            raise PayloadTooLarge(f"the JSON has more than {MAX_GAP_BYTES} bytes without a comma, outside of strings")

    def finish(self, string_start: int) -> None:
        """Read the rest of the text. `string_start` is the place of a string without an end."""
        end = len(self._data)
        if string_start >= 0:
            end = min(end, string_start + LONG_STRING_BYTES)  # its first bytes are enough to refuse it
        self._read_brackets(self._outline)
        self._read_elements(end)
        if len(self._open) > 1 or self._state != "complete":
            raise self._fault(end)

    def _read_brackets(self, outline: Outline) -> Outline:
        """Read the brackets whose other ends are elsewhere, and all before them; return the marks after them."""
        lowest_before = np.minimum.accumulate(np.concatenate(([len(self._open) - 1], outline.depths)))[:-1]
        lowest_after = np.minimum.accumulate(outline.depths[::-1])[::-1]
        opens = (outline.marks == OPENS_LIST) | (outline.marks == OPENS_OBJECT)
        stands_alone = (outline.depths < lowest_before) | (opens & (outline.depths == lowest_after))
        first = 0
        for index in np.flatnonzero(stands_alone).tolist():
            place, mark = int(outline.places[index]), int(outline.marks[index])
            if opens[index]:
                container: list[Any] | dict[str, Any] = [] if mark == OPENS_LIST else {}
                self._add(self._begin_element(outline.part(first, index), place), container)
                self._open.append(container)
                self._at, self._state = place + 1, "begun"
            else:
                self._close(place, mark)
            first = index + 1
        return outline.part(first)

    def _begin_element(self, outline: Outline, place: int) -> str | None:
        """Read what comes before an element of which only the beginning is known, and return its name.

        The name is empty in a list, and None where a name itself begins. `outline` has the marks before the place,
        after the bracket that was read last.
        """
        commas = outline.places[(outline.marks == COMMA) & (outline.depths == len(self._open) - 1)]
        if len(commas):
            self._separate(int(commas[-1]))
        text, in_list = self._data[self._at : place].strip(_WHITE_SPACE), isinstance(self._open[-1], list)
        if self._state == "complete" or (text and in_list):
            raise self._fault(place + 1)
        if in_list:
            return ""
        if not text and self._data[place] == _QUOTE:
            return None
        try:
            ((name, _),) = loads(b"{" + text + b"[]}", "utf-8").items()
        except (ValueError, RecursionError):
            raise self._fault(place + 1) from None
        return str(name)

    def _add(self, name: str | None, element: Any) -> None:
        parent = self._open[-1]
        if isinstance(parent, list):
            parent.append(element)
        elif name is not None:
            parent[name] = element

    def _separate(self, place: int) -> None:
        """Read the elements before a comma, and the comma."""
        self._read_elements(place)
        if self._state != "complete" or len(self._open) == 1:
            raise self._fault(place + 1)
        self._at, self._state = place + 1, "separated"

    def _close(self, place: int, mark: int) -> None:
        """Read the elements before the bracket that ends the innermost list or object, and the bracket."""
        self._read_elements(place)
        expected = CLOSES_LIST if isinstance(self._open[-1], list) else CLOSES_OBJECT
        if len(self._open) == 1 or mark != expected or self._state == "separated":
            raise self._fault(place + 1)
        self._open.pop()
        self._at, self._state = place + 1, "complete"

    def _read_elements(self, end: int) -> None:
        """Add the complete elements before a place, if there are any, to the innermost list or object."""
        text, parent = self._data[self._at : end].strip(_WHITE_SPACE), self._open[-1]
        if not text:
            return
        if self._state == "complete":
            if not text.startswith(b",") or len(self._open) == 1:
                raise self._fault(end)
            text = text[1:]
        brackets = b"%b" if len(self._open) == 1 else b"[%b]" if isinstance(parent, list) else b"{%b}"
        try:
            elements = loads(brackets % text, "utf-8")
        except (ValueError, RecursionError):
            raise self._fault(end) from None
        if len(self._open) == 1:
            self._add(None, elements)
        elif not elements:  # there is a comma and nothing else
            raise self._fault(end)
        elif isinstance(parent, list):
            parent.extend(elements)
        else:
            parent.update(elements)
            if len(parent) > MAX_MEMBERS:
                raise PayloadTooLarge(f"the JSON has an object of {len(parent)} members; the limit is {MAX_MEMBERS}")
        self._at, self._state = end, "complete"

    def _fault(self, end: int) -> MalformedBody:
        """Return the refusal of the text for an error that shows before `end`."""
        before = _ROOT if len(self._open) == 1 else _LIST if isinstance(self._open[-1], list) else _OBJECT
        return malformed_part(self._data, self._at, end, before[self._state])
