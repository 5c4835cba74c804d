"""Answers about models in the dialect of Ollama."""

from typing import Any

from pydantic import BaseModel, Field


class OllamaDetails(BaseModel):
    """Family, size and data type of a model."""

    parent_model: str = Field(description="The empty string.")
    format: str = Field(description="Format of the weights.")
    family: str = Field(description="Family of the model, such as `bert`; empty if its checkpoint cannot be read.")
    families: list[str] = Field(description="The family in a list.")
    parameter_size: str = Field(description="Number of parameters, such as `1.2M`; empty while it is not loaded.")
    quantization_level: str = Field(description="Data type, such as `float32`; empty while it is not loaded.")


class OllamaModel(BaseModel):
    """A model."""

    name: str = Field(description="Id of the model.")
    model: str = Field(description="Id of the model.")
    modified_at: str | None = Field(description="Time at which its files were written; null if unknown.")
    size: int = Field(description="Size of its weights in bytes; 0 if unknown.")
    digest: str = Field(description="SHA-256 digest of its weights, in hexadecimal; empty if unknown.")
    details: OllamaDetails = Field(description="What kind of model it is.")


class OllamaModels(BaseModel):
    """Every model that the server knows."""

    models: list[OllamaModel] = Field(description="The models.")


class OllamaRunningModel(BaseModel):
    """A model in memory."""

    name: str = Field(description="Id of the model.")
    model: str = Field(description="Id of the model.")
    size: int = Field(description="Memory that it takes, in bytes.")
    digest: str = Field(description="SHA-256 digest of its weights, in hexadecimal; empty if unknown.")
    details: OllamaDetails = Field(description="What kind of model it is.")
    expires_at: str | None = Field(description="Null: it is not unloaded after a time.")
    size_vram: int = Field(description="Memory that it takes on GPUs, in bytes.")
    context_length: int | None = Field(description="Maximum number of tokens; null unless its items are texts.")


class OllamaRunningModels(BaseModel):
    """Every model in memory."""

    models: list[OllamaRunningModel] = Field(description="The models.")


class OllamaShowAnswer(BaseModel):
    """What the server knows about a model."""

    license: str = Field(description="Licence of the weights, as an SPDX identifier; empty if unknown.")
    modelfile: str = Field(description="The empty string.")
    parameters: str = Field(description="The checkpoint's own values of options, one a line.")
    template: str = Field(description="Template of prompts, which changes nothing.")
    details: OllamaDetails = Field(description="What kind of model it is.")
    model_info: dict[str, Any] = Field(description="Family, number of parameters, length of context, and width.")
    capabilities: list[str] = Field(description="`completion`, `embedding`, both or none.")
    modified_at: str | None = Field(description="Time at which its files were written; null if unknown.")


class OllamaVersion(BaseModel):
    """Version of the server."""

    version: str = Field(description="Version of this server, which is not Ollama.")
