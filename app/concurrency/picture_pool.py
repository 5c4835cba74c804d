"""The processes that decode large pictures, so that one that takes long can be ended, and hurts no other request."""

import asyncio
import logging
import signal
from typing import Any

import numpy as np

from app.concurrency.fair_slots import FairSlots
from app.concurrency.picture_process import PictureProcess, ProcessEnded
from app.concurrency.request_memory import RequestMemory
from app.errors import DecoderUnavailable
from models.errors import InvalidItems, Problem, UndecodableItems
from models.pictures.decoding import DecodedPicture, EncodedPicture, PictureForm

log = logging.getLogger(__name__)

IDLE_S = 15.0
"""Time in seconds after which a process that has nothing to do is ended; a new one is ready in a tenth of a second."""
MAX_ATTEMPTS = 2
"""How often a picture is decoded whose process is killed by others, such as the kernel when memory runs out."""
_RETRY_AFTER_S = 5
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


class PicturePool:
    """Decodes pictures in processes, which are started when they are needed and end when they are not.

    A picture that takes too much time or memory ends the process, and is refused; so does the request that is
    cancelled. All methods are called on the event loop.
    """

    def __init__(self, n_processes: int, memory: RequestMemory, *, max_ms: int, max_bytes: int) -> None:
        """Create the pool of at most `n_processes`.

        Args:
            n_processes: number of pictures that are decoded at the same time.
            memory: the memory of all requests together, of which each picture that is decoded claims its part.
            max_ms: longest processor time of a picture, in milliseconds.
            max_bytes: most memory of a picture, in bytes.
        """
        self._slots = FairSlots(n_processes)
        self._memory = memory
        self._max_ms, self._max_bytes = max_ms, max_bytes
        self._idle: list[tuple[PictureProcess, asyncio.TimerHandle]] = []
        self._running: set[PictureProcess] = set()

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
            QueueFull: too many pictures of this client are waiting.
            PayloadTooLarge, MemoryExhausted: there is not enough memory for it.
            DecoderUnavailable: no process could be started, or the picture's were killed.
        """
        self.check(picture)
        await self._slots.acquire(client, picture.header.work)
        share = self._memory.open_share()
        try:
            share.claim(picture.header.n_bytes)
            for _ in range(MAX_ATTEMPTS):
                try:
                    return await self._attempt(picture, form)
                except ProcessEnded as ended:
                    self._judge(ended.code)
        finally:
            share.close()
            self._slots.release(client)
        raise DecoderUnavailable(
            "the process that decoded the image was killed, and so was the next; the server may lack memory",
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

    async def _attempt(self, picture: EncodedPicture, form: PictureForm) -> DecodedPicture:
        process = await self._take_process()
        self._running.add(process)
        is_fit = False
        header = picture.header
        head = {"form": form.to_json(), "max_ms": self._max_ms, "max_pixels": header.width * header.height}
        try:
            answer, pixels = await process.decode(head, picture.data, form.n_channels * form.height * form.width)
            is_fit = answer["is_fit"]
        finally:
            self._running.discard(process)
            if is_fit:
                timer = asyncio.get_running_loop().call_later(IDLE_S, self._end_idle, process)
                self._idle.append((process, timer))
            else:
                process.kill()
        return self._result(answer, pixels)

    async def _take_process(self) -> PictureProcess:
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
            return await PictureProcess.start()
        except OSError as error:
            log.error("no process to decode images could be started: %s", error)
            reason = f"no process to decode the image could be started: {error.strerror or error}"
            raise DecoderUnavailable(reason, retry_after_s=_RETRY_AFTER_S) from error

    def _end_idle(self, process: PictureProcess) -> None:
        self._idle = [each for each in self._idle if each[0] is not process]
        process.kill()

    def _result(self, answer: dict[str, Any], pixels: bytes) -> DecodedPicture:
        """Return the picture of an answer.

        Raises:
            UndecodableItems, InvalidItems: the picture is refused.
        """
        if answer.get("lacks_memory"):
            raise InvalidItems(Problem("decoding the image takes more memory than its size explains"))
        if "problems" in answer:
            error_type = UndecodableItems if answer["is_undecodable"] else InvalidItems
            raise error_type(*(Problem(detail, parameter=parameter) for detail, parameter in answer["problems"]))
        array = np.frombuffer(pixels, np.uint8).reshape(answer["shape"])
        return DecodedPicture(array, tuple(answer["warnings"]))

    def _judge(self, code: int) -> None:
        """Return if the picture may be tried again in another process.

        Raises:
            InvalidItems, UndecodableItems: the picture is to blame for the end of the process.
        """
        if code == -signal.SIGPROF:
            detail = f"decoding the image takes more than {self._max_ms} ms of processor time, the limit"
            raise InvalidItems(Problem(f"{detail} (image_timeout_ms)"))
        log.warning("a process that decodes images has ended with the code %d", code)
        if code < 0 and code not in _KILLED:
            raise UndecodableItems(Problem("the bytes are not a readable image: decoding them fails"))
