"""The processes that decode files, so that one that takes long can be ended, and hurts no other request."""

import asyncio
import logging
import signal
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.concurrency.decoder_process import DecoderProcess, ProcessEnded
from app.concurrency.fair_slots import FairSlots
from app.concurrency.parquet_reading import TableLimits
from app.concurrency.request_memory import RequestMemory
from app.errors import DecoderUnavailable
from models.errors import InvalidItems, Problem, UndecodableItems
from models.pictures.decoding import DecodedPicture, EncodedPicture, PictureForm
from models.sounds.files import SoundForm

log = logging.getLogger(__name__)

IDLE_S = 15.0
"""Time in seconds after which a process that has nothing to do is ended; a new one is ready in a tenth of a second."""
MAX_ATTEMPTS = 2
"""How often a file is decoded whose process is killed by others, such as the kernel when memory runs out."""
TABLE_BYTES, TABLE_BYTES_PER_BYTE = 2**25, 8
"""Most memory for decoding a Parquet file: so much for any, and so much for each of its bytes."""
SOUND_BYTES, SOUND_BYTES_PER_SAMPLE = 2**25, 8
"""Most memory for decoding a file of sound: so much for any, and so much for each sample that it may have: blocks, and
the whole that they are joined to."""
SOUND_WORK_PER_BYTE = 0.9
"""Processor time of a byte of a file of sound in microseconds, as clients share it; that of Opus, the slowest."""
TABLE_WORK, TABLE_BYTES_PER_WORK = 10_000, 10
"""Processor time of a Parquet file in microseconds, as clients share it: so much for any, and a part for its bytes."""
_RETRY_AFTER_S = 5
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """A file that is to be decoded.

    Attributes:
        name: what errors call it.
        head: what the process needs to know besides the time limit.
        data: the file.
        work: about how much processor time it takes, in microseconds.
        n_bytes: most memory that it takes.
        max_answer_bytes: most bytes that it is decoded to.
    """

    name: str
    head: dict[str, Any]
    data: bytes
    work: int
    n_bytes: int
    max_answer_bytes: int


class DecoderPool:
    """Decodes pictures, sounds and Parquet files in processes, which start when they are needed and end when not.

    A file that takes too much time or memory ends the process, and is refused; so does the request that is cancelled.
    All methods are called on the event loop.
    """

    def __init__(self, n_processes: int, memory: RequestMemory, *, max_ms: int, max_bytes: int) -> None:
        """Create the pool of at most `n_processes`.

        Args:
            n_processes: number of files that are decoded at the same time.
            memory: the memory of all requests together, of which each file that is decoded claims its part.
            max_ms: longest processor time of a file, in milliseconds.
            max_bytes: most memory of a file, in bytes.
        """
        self._slots = FairSlots(n_processes)
        self._memory = memory
        self._max_ms, self._max_bytes = max_ms, max_bytes
        self._idle: list[tuple[DecoderProcess, asyncio.TimerHandle]] = []
        self._running: set[DecoderProcess] = set()

    @property
    def pids(self) -> list[int]:
        """Return the numbers of the processes."""
        return [process.pid for process in (*self._running, *(process for process, _ in self._idle))]

    def check(self, picture: EncodedPicture) -> None:
        """Check that a picture, as its header tells, needs no more memory than the limit.

        Raises:
            InvalidItems: it needs more.
        """
        if picture.header.n_bytes > self._max_bytes:
            size = f"{picture.header.width} x {picture.header.height}"
            detail = f"the image has {size} pixels and needs about {picture.header.n_bytes} bytes of memory to be "
            raise InvalidItems(Problem(f"{detail}decoded; the limit is {self._max_bytes} (image_memory)"))

    async def decode(self, picture: EncodedPicture, form: PictureForm, client: str) -> DecodedPicture:
        """Decode a picture in a process. If the caller is cancelled, the process is killed.

        Args:
            picture: the picture.
            form: the form into which it is brought.
            client: who has sent it; clients take turns.

        Raises:
            UndecodableItems: the picture is damaged.
            InvalidItems: it takes too much time or memory, or an option cannot have its effect on it.
            QueueFull: too many files of this client are waiting.
            PayloadTooLarge, MemoryExhausted: there is not enough memory for it.
            DecoderUnavailable: no process could be started, or the picture's were killed.
        """
        self.check(picture)
        header = picture.header
        task = _Task(
            name="image",
            head={"form": form.to_json(), "max_pixels": header.width * header.height},
            data=picture.data,
            work=header.work,
            n_bytes=header.n_bytes,
            max_answer_bytes=form.n_channels * prod(form.size_for(header.width, header.height)),
        )
        answer, pixels = await self._run(task, client)
        array = np.frombuffer(pixels, np.uint8).reshape(answer["shape"])
        return DecodedPicture(array, tuple(answer["warnings"]))

    async def decode_sound(self, data: bytes, form: SoundForm, client: str) -> NDArray[np.float32]:
        """Decode a file of sound in a process. If the caller is cancelled, the process is killed.

        Args:
            data: the file.
            form: the form into which it is brought.
            client: who has sent it; clients take turns.

        Returns:
            The sound as `[T, C]`.

        Raises:
            UndecodableItems: the file is damaged.
            InvalidItems: it takes too much time or memory, is too long, or has channels or a rate that are not taken.
            QueueFull, PayloadTooLarge, MemoryExhausted, DecoderUnavailable: as by `decode`.
        """
        n_values = form.max_samples * form.n_channels
        n_bytes = min(self._max_bytes, SOUND_BYTES + SOUND_BYTES_PER_SAMPLE * n_values)
        task = _Task(
            name="file of sound",
            head={"sound": asdict(form), "n_bytes": n_bytes},
            data=data,
            work=1000 + int(SOUND_WORK_PER_BYTE * len(data)),
            n_bytes=n_bytes,
            max_answer_bytes=4 * n_values,
        )
        _, samples = await self._run(task, client)
        return np.frombuffer(samples, np.float32).reshape(-1, form.n_channels)

    async def read_parquet(self, data: bytes, limits: TableLimits, client: str) -> bytes:
        """Read a Parquet file in a process. If the caller is cancelled, the process is killed.

        Returns:
            The lines that `parquet_to_lines` makes of the file, or whatever a file that has taken over the process has
            made it send: at most `limits.max_bytes` and the names.

        Raises:
            UndecodableItems: the file is damaged.
            InvalidItems: it takes too much time or memory, or holds more than the limits allow, or what is no table.
            QueueFull, PayloadTooLarge, MemoryExhausted, DecoderUnavailable: as by `decode`.
        """
        n_bytes = min(self._max_bytes, TABLE_BYTES + TABLE_BYTES_PER_BYTE * len(data))
        task = _Task(
            name="Parquet file",
            head={"table": asdict(limits), "n_bytes": n_bytes},
            data=data,
            work=TABLE_WORK + len(data) // TABLE_BYTES_PER_WORK,
            n_bytes=n_bytes,
            max_answer_bytes=limits.max_bytes,
        )
        _, lines = await self._run(task, client)
        return lines

    async def _run(self, task: _Task, client: str) -> tuple[dict[str, Any], bytes]:
        """Return what a process answers, once it is the client's turn, and what it has decoded."""
        await self._slots.acquire(client, task.work)
        share = self._memory.open_share()
        try:
            share.claim(task.n_bytes)
            for _ in range(MAX_ATTEMPTS):
                try:
                    return await self._attempt(task)
                except ProcessEnded as ended:
                    self._judge(ended.code, task.name)
        finally:
            share.close()
            self._slots.release(client)
        raise DecoderUnavailable(
            f"the process that decoded the {task.name} was killed, and so was the next; the server may lack memory",
            retry_after_s=_RETRY_AFTER_S,
        )

    def close(self) -> None:
        """End all processes."""
        for process, timer in self._idle:
            timer.cancel()
            process.kill()
        self._idle.clear()
        for process in self._running:
            process.kill()

    async def _attempt(self, task: _Task) -> tuple[dict[str, Any], bytes]:
        process = await self._take_process(task.name)
        self._running.add(process)
        is_fit = False
        try:
            head = {**task.head, "max_ms": self._max_ms}
            answer, decoded = await process.decode(head, task.data, task.max_answer_bytes)
            is_fit = answer["is_fit"]
        finally:
            self._running.discard(process)
            if is_fit:
                timer = asyncio.get_running_loop().call_later(IDLE_S, self._end_idle, process)
                self._idle.append((process, timer))
            else:
                process.kill()
        _check_answer(answer, task.name)
        return answer, decoded

    async def _take_process(self, name: str) -> DecoderProcess:
        """Return a process that has nothing to do.

        Raises:
            DecoderUnavailable: none could be started.
        """
        while self._idle:
            process, timer = self._idle.pop()
            timer.cancel()
            if not process.has_ended:
                return process
            process.kill()
        try:
            return await DecoderProcess.start()
        except OSError as error:
            log.error("no process to decode files could be started: %s", error)
            reason = f"no process to decode the {name} could be started: {error.strerror or error}"
            raise DecoderUnavailable(reason, retry_after_s=_RETRY_AFTER_S) from error

    def _end_idle(self, process: DecoderProcess) -> None:
        self._idle = [each for each in self._idle if each[0] is not process]
        process.kill()

    def _judge(self, code: int, name: str) -> None:
        """Return if the file may be tried again in another process.

        Raises:
            InvalidItems, UndecodableItems: the file is to blame for the end of the process.
        """
        if code == -signal.SIGPROF:
            detail = f"decoding the {name} takes more than {self._max_ms} ms of processor time, the limit"
            raise InvalidItems(Problem(f"{detail} (image_timeout_ms)"))
        log.warning("a process that decodes files has ended with the code %d", code)
        if code < 0 and code not in _KILLED:
            raise UndecodableItems(Problem(f"the bytes are not a readable {name}: decoding them fails"))


def _check_answer(answer: dict[str, Any], name: str) -> None:
    """Check that a process has decoded its file.

    Raises:
        UndecodableItems, InvalidItems: the file is refused.
    """
    if answer.get("lacks_memory"):
        raise InvalidItems(Problem(f"decoding the {name} takes more memory than its size explains"))
    if "problems" in answer:
        error_type = UndecodableItems if answer["is_undecodable"] else InvalidItems
        raise error_type(*(Problem(detail, parameter=parameter) for detail, parameter in answer["problems"]))
