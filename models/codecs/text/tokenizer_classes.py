"""The tokenizer classes of the library transformers, whose settings count beside and above `tokenizer.json`.

Versions 4 and 5 of that library agree on most. Where they do not, a folder is read as the version that wrote it does:
version 5 writes the key `backend` into `tokenizer_config.json`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

from models.errors import CheckpointError
from models.published_tokenizer import TokenizerDefaults

SETTINGS_FILE = "tokenizer_config.json"
GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes that take `tokenizer.json` as it is: of version 4, where tokens of pairs have types, and of version 5."""
FLAGS = (
    *("do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space", "add_bos_token"),
    *("add_eos_token", "keep_accents", "remove_space", "trim_offsets", "split_special_tokens"),
    "clean_up_tokenization_spaces",
)
"""Settings that are true, false or null."""

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TokenizerClass:
    """A tokenizer class of transformers.

    Attributes:
        files: the kind of the files that it reads where there is no `tokenizer.json`: classes of a kind read the same.
        model: the kind of the model in its `tokenizer.json`; None if it never reads this file.
        has_types: whether the tokens of pairs have types where the folder does not say it.
        has_types_in_5: the same in version 5.
        apply: makes a tokenizer of this file obey the settings; returns whether that changed the tokenizer.
    """

    files: str
    model: type[Any] | None
    has_types: bool
    has_types_in_5: bool
    apply: Callable[[Tokenizer, Settings], bool]


def apply_wordpiece_settings(tokenizer: Tokenizer, settings: Settings) -> bool:
    """Make BERT's normalizer obey `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`, and their defaults.

    Raises:
        CheckpointError: the tokenizer has another normalizer, and one of these is set.
    """
    given = [name for name in ("do_lower_case", "strip_accents", "tokenize_chinese_chars") if name in settings]
    normalizer = tokenizer.normalizer
    if not isinstance(normalizer, normalizers.BertNormalizer):
        if given:
            raise _inapplicable(given[0], settings, "no BertNormalizer")
        return False
    wanted = normalizers.BertNormalizer(
        clean_text=normalizer.clean_text,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    is_changed = bool(wanted.__getstate__() != normalizer.__getstate__())
    if is_changed:
        tokenizer.normalizer = wanted
    return is_changed


def apply_byte_level_settings(tokenizer: Tokenizer, settings: Settings) -> bool:
    """Make a byte-level tokenizer obey `add_prefix_space` and `trim_offsets`, and their defaults.

    Raises:
        CheckpointError: the tokenizer does not begin with a byte-level step, and `add_prefix_space` is set.
    """
    first = tokenizer.pre_tokenizer
    if not isinstance(first, pre_tokenizers.ByteLevel):
        if settings.get("add_prefix_space", False) and not _has_prefix_space(first):
            raise _inapplicable("add_prefix_space", settings, "another pre_tokenizer than ByteLevel")
        return False
    add_prefix_space = settings.get("add_prefix_space", False)
    is_changed: bool = first.add_prefix_space != add_prefix_space
    if is_changed:
        first.add_prefix_space = add_prefix_space
    last = tokenizer.post_processor
    if isinstance(last, processors.RobertaProcessing):
        trim_offsets = settings.get("trim_offsets", True)
        is_changed |= (last.add_prefix_space, last.trim_offsets) != (add_prefix_space, trim_offsets)
        last.add_prefix_space, last.trim_offsets = add_prefix_space, trim_offsets
    return is_changed


def apply_unigram_settings(tokenizer: Tokenizer, settings: Settings) -> bool:
    """Make ALBERT's normalizer obey `do_lower_case` and `keep_accents` where they are set.

    Version 5 lets these replace what `tokenizer.json` says, also by their defaults; version 4 does not. So a setting
    counts where the folder has it, and the file counts otherwise.
    """
    has_metaspace(tokenizer, settings)
    steps = _steps(tokenizer.normalizer)
    kinds = [type(step) for step in steps]
    lowercase = settings.get("do_lower_case", normalizers.Lowercase in kinds)
    keeps_accents = settings.get("keep_accents", normalizers.StripAccents not in kinds)
    if lowercase == (normalizers.Lowercase in kinds) and keeps_accents == (normalizers.StripAccents not in kinds):
        return False
    replaced = (normalizers.NFKD, normalizers.StripAccents, normalizers.Lowercase)
    n_before = next((i for i, kind in enumerate(kinds) if kind is not normalizers.Replace), len(kinds))
    rest = [step for step in steps[n_before:] if not isinstance(step, replaced)]
    accents = [] if keeps_accents else [normalizers.NFKD(), normalizers.StripAccents()]
    lower = [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence([*steps[:n_before], *accents, *lower, *rest])
    return True


def has_metaspace(tokenizer: Tokenizer, settings: Settings) -> bool:
    """Check that the tokenizer puts a space before texts unless `add_prefix_space` is false; return False.

    Raises:
        CheckpointError: `add_prefix_space` is false, and the tokenizer puts one.
    """
    if settings.get("add_prefix_space") is False:
        schemes = [getattr(step, "prepend_scheme", "never") for step in _steps(tokenizer.pre_tokenizer)]
        if set(schemes) - {"never"}:
            raise _inapplicable("add_prefix_space", settings, "a pre_tokenizer that adds a space")
    return False


_BERT = TokenizerClass(
    files="vocab.txt", model=WordPiece, has_types=True, has_types_in_5=True, apply=apply_wordpiece_settings
)
_ROBERTA = TokenizerClass(
    files="RoBERTa's vocab.json",
    model=BPE,
    has_types=False,
    has_types_in_5=False,
    apply=apply_byte_level_settings,
)
_ALBERT = TokenizerClass(
    files="spiece.model", model=Unigram, has_types=True, has_types_in_5=False, apply=apply_unigram_settings
)
_XLM_ROBERTA = replace(_ALBERT, files="XLM-RoBERTa's sentencepiece.bpe.model", has_types=False, apply=has_metaspace)
_LIKE_BERT = (
    *("BertTokenizer", "ConvBertTokenizer", "DPRContextEncoderTokenizer", "DPRQuestionEncoderTokenizer"),
    *("ElectraTokenizer", "LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"),
)
_LIKE_ROBERTA = ("BartTokenizer", "LEDTokenizer", "LongformerTokenizer", "RobertaTokenizer")
_CLASSES: Mapping[str, TokenizerClass] = {
    **dict.fromkeys(_LIKE_BERT, _BERT),
    **dict.fromkeys(_LIKE_ROBERTA, _ROBERTA),
    "AlbertTokenizer": _ALBERT,
    "CamembertTokenizer": replace(_XLM_ROBERTA, files="CamemBERT's sentencepiece.bpe.model"),
    "DistilBertTokenizer": replace(_BERT, has_types=False, has_types_in_5=False),
    "GPT2Tokenizer": replace(_ROBERTA, files="GPT-2's vocab.json"),
    "MPNetTokenizer": replace(_BERT, files="MPNet's vocab.txt", has_types=False, has_types_in_5=False),
    "MarianTokenizer": replace(_XLM_ROBERTA, files="source.spm", model=None),
    "XLMRobertaTokenizer": _XLM_ROBERTA,
}
"""The known classes by name, without the ending `Fast`."""


@dataclass(frozen=True, kw_only=True)
class ChosenClass:
    """The tokenizer class of a checkpoint.

    Attributes:
        name: the name, without the ending `Fast`, except that of a generic class; empty if the family has none.
        rules: what this class means; None if it takes `tokenizer.json` as it is.
        is_named: whether the folder names it, instead of its family.
    """

    name: str
    rules: TokenizerClass | None
    is_named: bool

    @property
    def ignores_tokenizer_file(self) -> bool:
        """Tell whether the class reads the older files even beside a `tokenizer.json`."""
        return self.rules is not None and self.rules.model is None

    def apply(self, tokenizer: Tokenizer, settings: Settings, name: str) -> Tokenizer:
        """Return the tokenizer of a `tokenizer.json` as the settings want it.

        Raises:
            CheckpointError: the file and the class, or a setting, contradict each other.
        """
        if self.rules is None or self.rules.model is None:
            return tokenizer
        if not isinstance(tokenizer.model, self.rules.model):
            if not self.is_named:
                return tokenizer
            found, wanted = type(tokenizer.model).__name__, self.rules.model.__name__
            problem = f"tokenizer_class is {self.name!r}, which reads {wanted}, but tokenizer.json has {found}"
            raise CheckpointError(f"{name}: {problem}; if the file is right, name the class {GENERIC_CLASSES[0]!r}")
        try:
            is_changed = self.rules.apply(tokenizer, settings)
        except CheckpointError as error:
            raise CheckpointError(f"{name}/{SETTINGS_FILE}: {error}") from None
        # The tokens that are found after normalization are normalized anew when the tokenizer is read.
        return Tokenizer.from_str(tokenizer.to_str()) if is_changed else tokenizer

    def check_older_files(self, defaults: TokenizerDefaults, name: str) -> None:
        """Raise CheckpointError if the older files of this class are not those that the family reads."""
        if self.is_named and not reads_same_files(self, defaults):
            raise CheckpointError(
                f"{name}: tokenizer_class is {self.name!r}; without tokenizer.json, models of this type are read "
                f"with the files of {defaults.class_name or 'no class'}"
            )

    def has_types(self, settings: Settings, defaults: TokenizerDefaults, name: str) -> bool:
        """Return whether the tokens of pairs have types.

        Raises:
            CheckpointError: the settings want types, and models of this family take none.
        """
        inputs = settings.get("model_input_names")
        if inputs is None:
            return defaults.takes_types and self._has_types_by_default("backend" in settings)
        if not isinstance(inputs, list):
            raise CheckpointError(f"{name}/{SETTINGS_FILE}: model_input_names is {inputs!r}; it must be a list")
        if "token_type_ids" in inputs and not defaults.takes_types:
            reason = "models of this type are not run with token types"
            raise CheckpointError(f"{name}/{SETTINGS_FILE}: model_input_names has 'token_type_ids'; {reason}")
        return "token_type_ids" in inputs

    def _has_types_by_default(self, is_of_version_5: bool) -> bool:
        if self.rules is not None:
            return self.rules.has_types_in_5 if is_of_version_5 else self.rules.has_types
        return self.name != GENERIC_CLASSES[1] and not (self.is_named and is_of_version_5)


def choose_class(settings: Settings, config: Settings, defaults: TokenizerDefaults, name: str) -> ChosenClass:
    """Return the class that `tokenizer_config.json` names, else the one that `config.json` names, else the family's.

    Raises:
        CheckpointError: the class is unknown, or is code that the folder brings along.
    """
    auto_map = settings.get("auto_map", config.get("auto_map"))
    code = auto_map.get("AutoTokenizer") if isinstance(auto_map, dict) else auto_map
    if code:
        raise CheckpointError(
            f"{name}: auto_map asks for the tokenizer {code!r}, whose code is not run; remove the key"
        )
    for flag in FLAGS:
        if not isinstance(settings.get(flag, False), bool):
            raise CheckpointError(f"{name}/{SETTINGS_FILE}: {flag} is {settings[flag]!r}; it must be true or false")
    file = SETTINGS_FILE if settings.get("tokenizer_class") else "config.json"
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if not named:
        return ChosenClass(name=defaults.class_name, rules=_CLASSES.get(defaults.class_name), is_named=False)
    if named in GENERIC_CLASSES:
        return ChosenClass(name=named, rules=None, is_named=True)
    base = str(named).removesuffix("Fast")
    if base not in _CLASSES:
        known = ", ".join((*GENERIC_CLASSES, *_CLASSES))
        raise CheckpointError(f"{name}/{file}: the tokenizer_class {named!r} is not known; known are {known}")
    return ChosenClass(name=base, rules=_CLASSES[base], is_named=True)


def reads_same_files(chosen: ChosenClass, defaults: TokenizerDefaults) -> bool:
    """Return whether a class, without `tokenizer.json`, reads the files that a family's tokenizers are stored in."""
    of_family = _CLASSES.get(defaults.class_name)
    return chosen.rules is not None and of_family is not None and chosen.rules.files == of_family.files


def _has_prefix_space(step: pre_tokenizers.PreTokenizer | None) -> bool:
    return any(getattr(part, "add_prefix_space", False) for part in _steps(step))


def _steps(step: Any) -> list[Any]:
    """Return the parts of a sequence of steps, or the only step."""
    if isinstance(step, (normalizers.Sequence, pre_tokenizers.Sequence)):
        return list(cast("Iterable[Any]", step))  # its parts are found by index, which the stubs do not tell
    return [] if step is None else [step]


def _inapplicable(setting: str, settings: Settings, found: str) -> CheckpointError:
    return CheckpointError(f"{setting} is {settings[setting]!r}, which cannot be applied: tokenizer.json has {found}")
