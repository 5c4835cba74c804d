"""Types of parameters with named choices; each is a schema of its own in the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from models.codecs.text.entities import Aggregation as TokenAggregation
from models.pictures.placing import Fit
from models.tasks import autoencoding, classification, generation, text

ImageFit = TypeAliasType(
    "ImageFit", Annotated[Fit, Field(description="How an image of another size is brought to the model's size.")]
)
Aggregation = TypeAliasType(
    "Aggregation", Annotated[TokenAggregation, Field(description="How tokens are joined into entities.")]
)
NoiseType = TypeAliasType("NoiseType", Annotated[autoencoding.NoiseType, Field(description="Kind of noise.")])
InterpolationMethod = TypeAliasType(
    "InterpolationMethod",
    Annotated[autoencoding.InterpolationMethod, Field(description="Path through the latent space.")],
)
ProjectionMethod = TypeAliasType(
    "ProjectionMethod",
    Annotated[autoencoding.ProjectionMethod, Field(description="Method of projecting to two dimensions.")],
)
Activation = TypeAliasType(
    "Activation", Annotated[classification.Activation, Field(description="Function that turns logits into scores.")]
)
Pooling = TypeAliasType(
    "Pooling", Annotated[text.Pooling, Field(description="How the vectors of a text's tokens become one.")]
)
TruncationSide = TypeAliasType(
    "TruncationSide",
    Annotated[text.TruncationSide, Field(description="Side at which a text that is too long is cut.")],
)
VectorEncoding = TypeAliasType(
    "VectorEncoding",
    Annotated[
        Literal["float", "base64", "int8", "uint8", "binary", "ubinary"],
        Field(description="Form in which a vector is answered."),
    ],
)
PairActivation = TypeAliasType(
    "PairActivation",
    Annotated[Literal["sigmoid", "none"], Field(description="Function that turns the logit of a pair into its score.")],
)
FinishReason = TypeAliasType("FinishReason", Annotated[generation.FinishReason, Field(description="Why a text ends.")])
