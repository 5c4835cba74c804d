"""The parameters of `/fit`, which are options of `manifold fit`."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

DEFAULT_MINUTES = 5.0
"""Time limit in minutes of a fit that sets none, if the server allows as much."""
NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$"
"""What a fitted model may be named: the name is that of a folder, and is not hidden."""
OPTIONS = {"kind": "--as"}
"""Options of `manifold fit` with other names than the parameters."""

FitKind = TypeAliasType("FitKind", Annotated[Literal["table", "series"], Field(description="What rows are.")])
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
"""The name of a column, or of something else, that is passed to a process."""
Names = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
"""Names that are passed to a process."""


class FitParameters(BaseModel):
    """Parameters of `/fit`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="Name of the model: at most 100 letters, digits, dots, hyphens and underscores, with no dot first.",
        json_schema_extra={"pattern": NAME_PATTERN},
    )
    kind: FitKind | None = Field(
        None, description="What the rows are; series if their times rise evenly, and a table otherwise, if omitted."
    )
    family: Text | None = Field(
        None, description="Family of the model, such as variational; the one that suits the data if omitted."
    )
    time: Text | None = Field(None, description="Column of times, which puts the rows in order.")
    key: Text | None = Field(None, description="Column that tells several series in the file apart.")
    window: int | None = Field(None, ge=2, le=1024, description="Rows of a series that are looked at together.")
    stride: int | None = Field(None, ge=1, le=1024, description="Rows from one window to the next.")
    columns: Names | None = Field(None, description="Columns to use, separated by commas; all if omitted.")
    ignore: Names | None = Field(None, description="Columns to leave out, separated by commas.")
    label: Text | None = Field(None, description="Column that is 1 or true for known anomalies; not trained on.")
    false_alarms: float = Field(0.01, gt=0, le=0.5, description="Share of normal rows that may be called anomalies.")
    contamination: Text = Field(
        "auto",
        description="Share of the rows that are anomalies and left out; `auto` finds out, `none` leaves nothing out.",
    )
    minutes: float | None = Field(
        None, gt=0, description="Time limit, at most the limit `fit_minutes` of `/info`; 5, or that limit, if omitted."
    )
    seed: int = Field(0, ge=0, lt=2**53, description="Seed of the split, the weights and the noise.")
    replace: bool = Field(False, description="Whether a model of the same name that was fitted before is replaced.")
    dry_run: bool = Field(False, description="Whether to tell what the file holds, and train nothing.")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not re.fullmatch(NAME_PATTERN, name, re.ASCII) or name.endswith("\n"):
            form = "1 to 100 letters, digits, dots, hyphens and underscores, with no dot first"
            raise PydanticCustomError("wrong_name", "the name of a model must have {form}", {"form": form})
        return name

    def options(self, minutes: float) -> list[str]:
        """Return the options of `manifold fit`, but not the name, with this time limit."""
        options = [f"--minutes={minutes}"]
        for name, value in self.model_dump(exclude={"name", "minutes"}, exclude_none=True).items():
            option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
            if value is True:
                options.append(option)
            elif value is not False:
                options.append(f"{option}={value}")
        return options
