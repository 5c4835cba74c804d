"""Checkpoints of the hub, by id: `org/name`, or `org/name@revision`. Downloading resumes where it was interrupted.

Files lie in the cache of `huggingface_hub`, shared with every other program that uses it. `HF_ENDPOINT`, `HF_TOKEN` and
`HF_HOME` mean what they mean there.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from models.errors import CheckpointError

PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.spm", "spiece.model", "1_Pooling/*", "README.md")
DEFAULT_REVISION = "main"
_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository at a revision: a branch, a tag or a commit."""

    repository: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> "HubId":
        """Read `org/name@revision`.

        Raises:
            CheckpointError: it is none.
        """
        if not _ID.fullmatch(text):
            raise CheckpointError(f"{text[:200]!r} is no id of the hub; it must be org/name or org/name@revision")
        repository, _, revision = text.partition("@")
        return cls(repository, revision or DEFAULT_REVISION)


def find(hub_id: HubId) -> Path:
    """The folder of a checkpoint that was pulled.

    Raises:
        CheckpointError: it was not.
    """
    try:
        return Path(
            snapshot_download(
                hub_id.repository, revision=hub_id.revision, allow_patterns=list(PATTERNS), local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        raise CheckpointError(
            f"{hub_id.repository} at {hub_id.revision} is neither a folder nor in the cache; "
            f"`manifold pull {hub_id.repository}` fetches it"
        ) from None


def pull(hub_id: HubId) -> Path:
    """Download what a checkpoint needs, with progress, and check it; returns its folder.

    The revision is pinned first: what arrives is of one commit, even if the branch moves meanwhile.

    Raises:
        CheckpointError: the hub has it not or cannot be reached, it has no safetensors, or a file arrived damaged.
    """
    try:
        info = HfApi().model_info(hub_id.repository, revision=hub_id.revision, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or []}
        if not any(name.endswith(".safetensors") for name in files):
            raise CheckpointError(f"{hub_id.repository} has no safetensors file; pickles are never read")
        folder = Path(snapshot_download(hub_id.repository, revision=info.sha, allow_patterns=list(PATTERNS)))
        _remember(folder, hub_id.revision)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise CheckpointError(f"{hub_id.repository} at {hub_id.revision}: the hub says {status}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{hub_id.repository} could not be downloaded: {error}") from error
    for name, file in files.items():
        if file.lfs and (folder / name).exists():
            _check(folder / name, name, file.lfs.sha256)
    return folder


def _remember(folder: Path, revision: str) -> None:
    """So that `find` knows which commit the branch or tag meant, as the cache of `huggingface_hub` keeps it."""
    if revision != folder.name:
        ref = folder.parents[1] / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(folder.name)


def _check(path: Path, name: str, sha256: str) -> None:
    with path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise CheckpointError(f"{name} arrived with the SHA-256 {digest}, not {sha256}; it was deleted, pull again")
