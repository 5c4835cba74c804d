"""Reads a file of settings in TOML, whose keys are the names of the settings."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from typing_extensions import override

CONFIG_SETTING = "config"
"""Name of the setting that names the file; the file itself may not have it."""


class ConfigFileError(ValueError):
    """Error: the file cannot be read. Its message continues the sentence "--config is 'FILE'"."""


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the settings in a file.

    Truth values become words, because pydantic would take them for the numbers 0 and 1.

    Raises:
        ConfigFileError: the file is missing, not readable or not TOML, or names another file of settings.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigFileError(", but there is no such file") from None
    except OSError as error:
        raise ConfigFileError(f", which cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a path with a null character
        raise ConfigFileError(f", which is not a file in TOML: {error}") from None
    if CONFIG_SETTING in values:
        raise ConfigFileError(f", which has the key {CONFIG_SETTING}; a file cannot name another one")
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}


def find_config_file(given: Mapping[str, Any]) -> Path | None:
    """Return the file that settings from elsewhere name, or None if they name none, or none that has the right type."""
    path = given.get(CONFIG_SETTING)
    return Path(path) if path and isinstance(path, str | Path) else None


class ConfigFileSource(PydanticBaseSettingsSource):
    """The values of a file that are not among those `given` elsewhere, which take precedence as a whole.

    A file that cannot be read has no values; the setting that names it reports the error.
    """

    def __init__(self, settings_cls: type[BaseSettings], given: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._given = given

    @override
    def __call__(self) -> dict[str, Any]:
        path = find_config_file(self._given)
        if path is None:
            return {}
        try:
            values = read_config_file(path)
        except ConfigFileError:
            return {}
        return {name: value for name, value in values.items() if name not in self._given}

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one field; it is not used, because `__call__` returns all values at once."""
        return self().get(field_name), field_name, False
