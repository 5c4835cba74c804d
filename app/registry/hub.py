"""Downloads checkpoints from the Hugging Face hub, and finds those that were downloaded.

A checkpoint's id is `org/name` or `org/name@revision`. Files are kept in the cache of `huggingface_hub`, which other
programs share, and a download resumes where it was interrupted. The environment variables `HF_ENDPOINT`, `HF_TOKEN` and
`HF_HOME` have their usual meaning.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from models.errors import CheckpointError

FILE_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.spm", "spiece.model", "1_Pooling/*", "README.md")
"""Files of a repository that are downloaded. Pickles are not among them."""
DEFAULT_REVISION = "main"
_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository on the hub, at a branch, tag or commit."""

    repository: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> "HubId":
        """Parse `org/name` or `org/name@revision`; the default revision is `main`.

        Raises:
            CheckpointError: the text has another form.
        """
        if not _ID.fullmatch(text):
            raise CheckpointError(f"{text[:200]!r} is not a hub id; it must be org/name or org/name@revision")
        repository, _, revision = text.partition("@")
        return cls(repository, revision or DEFAULT_REVISION)


def find(hub_id: HubId) -> Path:
    """Return the folder of a checkpoint that was pulled before. Never uses the network.

    Raises:
        CheckpointError: it is not in the cache.
    """
    try:
        return Path(
            snapshot_download(
                hub_id.repository, revision=hub_id.revision, allow_patterns=list(FILE_PATTERNS), local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        raise CheckpointError(
            f"{hub_id.repository} at {hub_id.revision} is neither a folder nor in the cache; "
            f"`manifold pull {hub_id.repository}` fetches it"
        ) from None


def pull(hub_id: HubId) -> Path:
    """Download the files of a checkpoint, showing progress, verify them and return their folder.

    The revision is resolved to a commit first, so that all files belong together even if the branch moves meanwhile.

    Raises:
        CheckpointError: the hub cannot be reached or does not have it, it has no safetensors file, a file arrived
            damaged, or the disk is full.
    """
    try:
        info = HfApi().model_info(hub_id.repository, revision=hub_id.revision, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or []}
        if not any(name.endswith(".safetensors") for name in files):
            raise CheckpointError(f"{hub_id.repository} has no safetensors file; pickles are never read")
        folder = Path(snapshot_download(hub_id.repository, revision=info.sha, allow_patterns=list(FILE_PATTERNS)))
        _store_revision(folder, hub_id.revision)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise CheckpointError(f"{hub_id.repository} at {hub_id.revision}: the hub says {status}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{hub_id.repository} could not be downloaded: {error}") from error
    for name, file in files.items():
        if file.lfs and (folder / name).exists():
            _verify(folder / name, name, file.lfs.sha256)
    return folder


def _store_revision(folder: Path, revision: str) -> None:
    """Note which commit a branch or tag stands for, in the form of `huggingface_hub`'s cache, where `find` looks."""
    if revision != folder.name:
        ref = folder.parents[1] / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(folder.name)


def _verify(path: Path, name: str, sha256: str) -> None:
    """Delete a file whose digest is wrong, and raise a `CheckpointError`."""
    with path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise CheckpointError(f"{name} arrived with the SHA-256 {digest}, not {sha256}; it was deleted, pull again")
