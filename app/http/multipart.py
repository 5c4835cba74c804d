"""Reading the files of a body of multipart/form-data (RFC 7578). They stay in memory, as the body does."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import Fault, InvalidRequest, MalformedBody
from models.cancellation import stop_if_abandoned

CHUNK_BYTES = 2**16
"""Size in bytes of the chunks in which a body is parsed; between two of them, work for a client that left ends."""
MAX_NAMES = 16
"""Maximum number of names of unknown parts that an error lists."""
MAX_NAME_CHARACTERS = 100
"""Number of characters from which a name is cut in an error."""


def parse_files(data: bytes, content_type: str, max_files: int) -> list[bytes]:
    """Return the contents of the parts named `files`, in order.

    Raises:
        MalformedBody: the body is not multipart with at most `max_files` parts, as its content type promises.
        InvalidRequest: a part has another name or is a text, or there is no file.
        WorkAbandoned: the caller has left.
    """
    reader = _PartsReader(max_files)
    try:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if boundary is None:
            raise FormParserError("the content type has no boundary")
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.begin_part,
                "on_part_data": reader.add_content,
                "on_header_field": reader.add_header_name,
                "on_header_value": reader.add_header_value,
                "on_header_end": reader.end_header,
                "on_headers_finished": reader.end_headers,
            },
        )
        for start in range(0, len(data), CHUNK_BYTES):
            stop_if_abandoned()
            parser.write(data[start : start + CHUNK_BYTES])
        parser.finalize()
    except FormParserError as error:
        raise MalformedBody(f"the body is not multipart/form-data with at most {max_files} files") from error
    _check_parts(reader.parts)
    return [b"".join((*part.pieces, part.rest)) for part in reader.parts]


def _check_parts(parts: "list[_Part]") -> None:
    """Raise InvalidRequest unless all parts are files named `files`, and there is one."""
    unknown = sorted({part.name[:MAX_NAME_CHARACTERS] for part in parts if part.name != "files"})[:MAX_NAMES]
    if unknown:
        detail = f"unknown parts {unknown}; send files in parts named 'files'"
    elif not all(part.is_file for part in parts):
        detail = "a part named 'files' is a text; a file has a filename in its header"
    elif not parts:
        detail = "no file; send files in parts named 'files'"
    else:
        return
    raise InvalidRequest.of([Fault("", detail)])


@dataclass(slots=True)
class _Part:
    """A part, as far as it has been read. `pieces` and `rest` are its content."""

    name: str = ""
    is_file: bool = False
    pieces: list[bytes] = field(default_factory=list)
    rest: bytearray = field(default_factory=bytearray)


class _PartsReader:
    """Collects the parts that the parser finds."""

    def __init__(self, max_parts: int) -> None:
        self.parts: list[_Part] = []
        self._max_parts = max_parts
        self._header = (bytearray(), bytearray())  # the name and the value of the header that is being read
        self._disposition = ""

    def begin_part(self) -> None:
        """Begin a part, which has no content disposition yet."""
        if len(self.parts) == self._max_parts:
            raise FormParserError(f"there are more than {self._max_parts} parts")
        self.parts.append(_Part())
        self._disposition = ""

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        """Add a piece of the name of a header."""
        self._header[0].extend(data[start:end])

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        """Add a piece of the value of a header."""
        self._header[1].extend(data[start:end])

    def end_header(self) -> None:
        """Keep the header if it is the content disposition."""
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")
        self._header = (bytearray(), bytearray())

    def end_headers(self) -> None:
        """Read the name of the part, and whether it is a file, from its content disposition."""
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise FormParserError("a part has no name")
        part = self.parts[-1]
        part.name, part.is_file = options[b"name"].decode("utf-8", "replace"), b"filename" in options

    def add_content(self, data: bytes, start: int, end: int) -> None:
        """Add a piece of the content of the part."""
        part = self.parts[-1]
        part.rest += data[start:end]
        if len(part.rest) >= CHUNK_BYTES:  # joining such pieces releases the interpreter's lock, unlike a long copy
            part.pieces.append(bytes(part.rest))
            part.rest.clear()
