"""Names that a client chooses from, each a schema of its own in the OpenAPI document."""

from typing_extensions import TypeAliasType

from models.codecs.image import Fit
from models.codecs.text.entities import Aggregation as TokenAggregation
from models.tasks import autoencoding, text

ImageFit = TypeAliasType("ImageFit", Fit)
Aggregation = TypeAliasType("Aggregation", TokenAggregation)
NoiseType = TypeAliasType("NoiseType", autoencoding.NoiseType)
InterpolationMethod = TypeAliasType("InterpolationMethod", autoencoding.Method)
ProjectionMethod = TypeAliasType("ProjectionMethod", autoencoding.Projection)
Activation = TypeAliasType("Activation", autoencoding.Activation)
Pooling = TypeAliasType("Pooling", text.Pooling)
FinishReason = TypeAliasType("FinishReason", text.FinishReason)
