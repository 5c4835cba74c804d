"""Read the files of a data set from a local folder, downloading missing ones from their official source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from training.errors import DataError

DOWNLOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file of a data set, with its official source and the SHA-256 of its bytes.

    Where the source offers the data in another form only, such as an archive, `is_downloadable` is false, `url` is the
    source's page, and the file has to be made by hand (docs/data.md).
    """

    name: str
    url: str
    sha256: str
    is_downloadable: bool = True


@dataclass(frozen=True)
class DataFolder:
    """A folder with one subfolder per data set; missing files are downloaded if `download` is true."""

    path: Path
    download: bool

    def read(self, dataset: str, files: Sequence[DataFile]) -> list[bytes]:
        """Return the verified bytes of `files`, in order.

        Raises:
            DataError: a file is missing and cannot be downloaded, or its digest differs.
        """
        return [self._read_one(self.path / dataset / file.name, file) for file in files]

    def _read_one(self, path: Path, file: DataFile) -> bytes:
        if not path.exists():
            if not file.is_downloadable:
                raise DataError(f"{path} is missing; docs/data.md tells how to make it from the data at {file.url}")
            if not self.download:
                raise DataError(f"{path} is missing; leave --data out to download it from {file.url}")
            fetch(file.url, path)
        data = path.read_bytes()
        if (digest := hashlib.sha256(data).hexdigest()) != file.sha256:
            raise DataError(
                f"{path} has the SHA-256 {digest}; the official file has {file.sha256}. Delete it and try again"
            )
        return data


def fetch(url: str, path: Path) -> None:
    """Download `url` to `path` with a progress bar; an interrupted download leaves no file behind.

    Raises:
        DataError: the download failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=DOWNLOAD_TIMEOUT_S) as response,
            Progress(*columns, TimeRemainingColumn()) as progress,
            partial.open("wb") as out,
        ):
            response.raise_for_status()
            length = response.headers.get("content-length")
            task = progress.add_task(path.name, total=int(length) if length else None)
            for chunk in response.iter_bytes():
                out.write(chunk)
                progress.advance(task, len(chunk))
        partial.replace(path)
    except httpx.HTTPError as error:
        raise DataError(f"{url} could not be downloaded: {error}. Put the file at {path} by hand") from error
    finally:
        partial.unlink(missing_ok=True)
