"""Declarations of the tokenizers of published checkpoints: how a family stores them, and what a folder says of one."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.regular_files import FileCopy, copied, read_file


@dataclass(frozen=True, kw_only=True)
class DeclaredToken:
    """A token that a tokenizer's files declare beside its vocabulary, with the options of `tokenizers.AddedToken`.

    Attributes:
        content: the token.
        file: the file that declares it, for errors.
        token_id: its id; None if the file leaves it to the tokenizer.
        options: the options, such as `lstrip`.
        replaces: whether these options replace those of `tokenizer.json`.
        is_default: whether no file declares it, only the tokenizer class.
    """

    content: str
    file: str
    token_id: int | None = None
    options: Mapping[str, bool] = field(default_factory=dict)
    replaces: bool = False
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class EncodingSettings:
    """What a tokenizer's settings say about the encoding of texts, beside its vocabulary.

    Attributes:
        class_name: the tokenizer class of `transformers` that was understood; empty if there is none.
        has_types: whether the second text of a pair has the token type 1; otherwise all types are 0.
        truncates_left: whether long texts lose their first tokens instead of their last.
        splits_special_tokens: whether special tokens that are written out in a text are split like other words.
        cleans_up_spaces: whether spaces before punctuation are removed from decoded texts.
    """

    class_name: str = ""
    has_types: bool = True
    truncates_left: bool = False
    splits_special_tokens: bool = False
    cleans_up_spaces: bool = False


@dataclass(frozen=True, kw_only=True)
class TokenizerSource:
    """A checkpoint's folder, from which a tokenizer is read.

    Attributes:
        folder: the folder with the tokenizer's files.
        name: the checkpoint's name, for errors.
        settings: the settings beside these files, such as `do_lower_case`, and the special tokens by their published
            names, such as `mask_token`.
        max_tokens: the maximum number of tokens of a text.
        lowercase: whether texts are converted to lower case before anything else.
        has_target: whether the model reads one text and writes another.
        declared_tokens: the tokens that the settings declare beside the vocabulary.
        encoding: what the settings say about the encoding of texts.
    """

    folder: Path
    name: str
    settings: Mapping[str, Any]
    max_tokens: int
    lowercase: bool
    has_target: bool
    declared_tokens: tuple[DeclaredToken, ...] = ()
    encoding: EncodingSettings = EncodingSettings()

    def read(self, file: str) -> bytes:
        """Return the content of a file of the folder.

        Raises:
            CheckpointError: the file is missing, not readable or not a regular file.
        """
        return read_file(self.folder / file, f"{self.name}/{file}")

    def copied(self, file: str) -> AbstractContextManager[FileCopy]:
        """Copy a file of the folder into memory, for libraries that read files by their paths.

        Raises:
            CheckpointError: the file is missing, not readable or not a regular file.
        """
        return copied(self.folder / file, f"{self.name}/{file}")


@dataclass(frozen=True, kw_only=True)
class TokenizerDefaults:
    """The storage of a family's tokenizers in folders without `tokenizer.json`, and the family's special tokens.

    Attributes:
        files: the files of the older format, all of which are needed.
        read: reads these files and returns a `models.codecs.text.TextCodec`.
        special_tokens: the special tokens of a folder whose settings name no others, by their published names.
        has_target: whether the models read one text and write another.
        class_name: the tokenizer class of `transformers` that counts if a folder names none; empty if there is none.
        takes_types: whether the models take types of tokens.
    """

    files: tuple[str, ...]
    read: Callable[[TokenizerSource], Any]
    special_tokens: Mapping[str, str]
    has_target: bool = False
    class_name: str = ""
    takes_types: bool = True
