"""Downloads checkpoints from the Hugging Face hub, and finds those that were downloaded.

A checkpoint's id is `org/name`, and may end with `@revision` and with `:subfolder`. Files are kept in the cache of
`huggingface_hub`, which other programs share, and a download resumes where it was interrupted. The environment
variables `HF_ENDPOINT`, `HF_TOKEN` and `HF_HOME` have their usual meaning.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from models.errors import CheckpointError

FILE_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.spm", "spiece.model", "*.bpe.model", "README.md")
"""Files of a repository that are downloaded, in folders below it as well. Pickles are not among them."""
_PICKLE_PATTERN = re.compile(r"([\w.-]+/)?(diffusion_)?pytorch_model[\w.-]*\.bin")
"""Pickled weights of a repository and of its folders."""
DEFAULT_REVISION = "main"
MAX_FOLDERS = 16
"""Most folders of a pipeline that an error names."""
_SUBFOLDER = r"[\w.-]+(?:/[\w.-]+)*"
_ID_PATTERN = re.compile(rf"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?::({_SUBFOLDER}))?")
_PIPELINE_FILE, _CONFIG_FILE = "model_index.json", "config.json"
"""The file that describes a pipeline of diffusers, whose models are folders, and that which describes a model."""


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository on the hub, at a branch, tag or commit.

    Attributes:
        subfolder: the folder of the checkpoint in the repository; empty for the repository itself.
    """

    repository: str
    revision: str
    subfolder: str = ""

    @classmethod
    def parse(cls, text: str) -> "HubId":
        """Parse `org/name@revision:subfolder`, of which all but `org/name` may be left out.

        The default revision is `main`, and the default subfolder the repository itself.

        Raises:
            CheckpointError: the text has another form.
        """
        parts = _ID_PATTERN.fullmatch(text)
        if not parts:
            form = "it must be ORG/NAME, and may end with @REVISION and :SUBFOLDER"
            raise CheckpointError(f"{text[:200]!r} is not an id of the hub; {form}")
        repository, revision, subfolder = parts.groups()
        return cls(repository, revision or DEFAULT_REVISION).at(subfolder or "")

    def at(self, subfolder: str) -> "HubId":
        """Return the id of a folder of the same repository; of the repository itself if the folder's name is empty.

        Raises:
            CheckpointError: it is no path of a folder inside.
        """
        parts = subfolder.split("/")
        if subfolder and (not re.fullmatch(_SUBFOLDER, subfolder) or {".", ".."} & set(parts)):
            raise CheckpointError(f"{subfolder[:200]!r} is not a folder of a repository; it must be like vae or a/b")
        return HubId(self.repository, self.revision, subfolder)

    @property
    def command(self) -> str:
        """The command that downloads it, without the revision."""
        return f"manifold pull {self.repository}" + (f" --subfolder {self.subfolder}" if self.subfolder else "")

    def patterns(self, names: Iterable[str]) -> list[str]:
        """Return patterns of names of files as they are in the repository, of those as they are in the subfolder."""
        return [f"{self.subfolder}/{name}" if self.subfolder else name for name in names]

    def inside(self, names: Iterable[str]) -> list[str]:
        """Return the names of the files of a repository that are in the subfolder, as they are there."""
        start = f"{self.subfolder}/" if self.subfolder else ""
        return [name.removeprefix(start) for name in names if name.startswith(start)]


def find_in_cache(hub_id: HubId) -> Path:
    """Return the folder of a checkpoint that was pulled before. Never uses the network.

    Raises:
        CheckpointError: the checkpoint is not in the cache.
    """
    try:
        snapshot = snapshot_download(
            hub_id.repository,
            revision=hub_id.revision,
            allow_patterns=hub_id.patterns(FILE_PATTERNS),
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, OSError, ValueError):
        raise CheckpointError(
            f"{hub_id.repository} at {hub_id.revision} is neither a folder nor in the cache; "
            f"`{hub_id.command}` fetches it"
        ) from None
    folder = Path(snapshot) / hub_id.subfolder
    if not folder.is_dir():
        raise CheckpointError(
            f"{hub_id.repository} at {hub_id.revision} has no folder {hub_id.subfolder} in the cache; "
            f"`{hub_id.command}` fetches it"
        )
    return folder


def pull(hub_id: HubId, *, with_pickles: bool = False) -> Path:
    """Download the files of a checkpoint, showing progress, verify them and return the folder of the repository.

    The revision is resolved to a commit first, so that all files belong together even if the branch moves meanwhile.
    Pickled weights are downloaded if `with_pickles`, where there are no safetensors beside them.

    Raises:
        CheckpointError: the hub cannot be reached or does not have it, it has no safetensors file, a file arrived
            damaged, or the disk is full.
    """
    try:
        info = HfApi().model_info(hub_id.repository, revision=hub_id.revision, files_metadata=True)
    except Exception as error:  # the client raises errors of its HTTP library, which depends on its version
        raise CheckpointError(_explain(error, hub_id)) from error
    files = {file.rfilename: file for file in info.siblings or []}
    pickles = _check_files(hub_id, list(files), with_pickles=with_pickles)
    patterns = hub_id.patterns([*FILE_PATTERNS, *(pickles if with_pickles else [])])
    try:
        folder = Path(snapshot_download(hub_id.repository, revision=info.sha, allow_patterns=patterns))
        _store_revision(folder, hub_id.revision)
    except Exception as error:  # as above
        raise CheckpointError(_explain(error, hub_id)) from error
    for name, file in files.items():
        if file.lfs and (folder / name).exists():
            _verify(folder / name, name, file.lfs.sha256)
    return folder


def _check_files(hub_id: HubId, files: list[str], *, with_pickles: bool) -> list[str]:
    """Check that a repository has a checkpoint, and return the names of its pickles without safetensors beside them.

    Raises:
        CheckpointError: it has no weights that can be read, it is a pipeline of several models, or it has no such
            folder.
    """
    names = hub_id.inside(files)
    if not names:
        raise CheckpointError(f"{hub_id.repository} at {hub_id.revision} has no folder {hub_id.subfolder}")
    if _PIPELINE_FILE in names and _CONFIG_FILE not in names:
        folders = sorted(name.removesuffix(f"/{_CONFIG_FILE}") for name in names if name.endswith(f"/{_CONFIG_FILE}"))
        found = f"; choose one of its folders by --subfolder: {', '.join(folders[:MAX_FOLDERS])}" if folders else ""
        raise CheckpointError(f"{hub_id.repository} is a pipeline of several models{found}")
    pickles = _unsafe_weights(names)
    if not any(name.endswith(".safetensors") for name in names) and not (with_pickles and pickles):
        remedy = f"; `{hub_id.command} --convert` converts {pickles[0]}" if pickles else ""
        raise CheckpointError(f"{hub_id.repository} has no safetensors file; pickles are never read{remedy}")
    return pickles


def _unsafe_weights(files: Iterable[str]) -> list[str]:
    """Return the pickled weights of a repository that have no safetensors in the same folder."""
    names = sorted(files)
    safe = {name.rpartition("/")[0] for name in names if name.endswith(".safetensors")}
    return [name for name in names if _PICKLE_PATTERN.fullmatch(name) and name.rpartition("/")[0] not in safe]


def _explain(error: Exception, hub_id: HubId) -> str:
    """Say in plain words why a download failed, and what to check."""
    repository, endpoint = hub_id.repository, HfApi().endpoint
    failed = f"{repository} could not be downloaded"
    match error:
        case RevisionNotFoundError():
            return f"{repository} has no branch, tag or commit named {hub_id.revision}."
        case GatedRepoError():
            return (
                f"{failed}: its owner asks for consent to terms. Accept them at {endpoint}/{repository}, "
                "then set HF_TOKEN to a token of that account."
            )
        case RepositoryNotFoundError():
            return (
                f"{failed}: there is no model of this id at {endpoint}, or it is private. "
                "Check the id, and for a private model set HF_TOKEN."
            )
        case HfHubHTTPError():
            return f"{failed}: {_explain_status(error.response.status_code, endpoint)}"
        case OfflineModeIsEnabled():
            return f"{failed}: the variable HF_HUB_OFFLINE forbids it. Unset it."
        case HFValidationError():
            return f"{repository} is not an id that the hub accepts."
        case OSError(strerror=str(reason)):
            return f"{failed}: {reason}."
    if isinstance(error, (OSError, *HfHubHTTPError.__bases__)):  # the bases include the error class of the HTTP library
        return (
            f"{failed}: the connection to {endpoint} failed. Check the network, and HF_ENDPOINT if you set it, "
            "then run the same command again: it goes on where it was."
        )
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{failed}: {endpoint} gave an answer that cannot be used ({reason}). Check HF_ENDPOINT if you set it."


def _explain_status(status: int, endpoint: str) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{endpoint} refuses access (status {status}). Check HF_TOKEN; public models need none."
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return f"{endpoint} had too many requests from here (status {status}). Try again later, or set HF_TOKEN."
    return f"{endpoint} answered with status {status}. Try again later, and check HF_ENDPOINT if you set it."


def _store_revision(folder: Path, revision: str) -> None:
    """Store the commit of a branch or tag where `find_in_cache` looks, in the format of `huggingface_hub`."""
    if revision != folder.name:
        ref = folder.parents[1] / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(folder.name)


def _verify(path: Path, name: str, sha256: str) -> None:
    """Check a file's digest.

    Raises:
        CheckpointError: the digest differs from `sha256`; the file has been deleted.
    """
    with path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise CheckpointError(f"{name} arrived with the SHA-256 {digest}, not {sha256}; it was deleted, pull again")
