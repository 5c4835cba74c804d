"""Diagonal normal distributions as networks put them out."""

import math
from dataclasses import dataclass

from torch import Tensor

MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -14, 6


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """`mean` and `log_variance`, both `[B, Z]`."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "DiagonalGaussian":
        """From `[B, 2 Z]`: means, then log-variances, which are kept where float32 can exponentiate them."""
        mean, log_variance = parameters.float().chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))

    def at(self, noise: Tensor) -> Tensor:
        """mean + deviation * noise, for `noise` of the mean's shape or with dimensions before it.

        The reparameterisation of Kingma and Welling 2014, section 2.4.
        """
        return self.mean + (0.5 * self.log_variance).exp() * noise


def log_normal(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(values; mean, exp(log_variance)), element by element."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (values - mean).square() / log_variance.exp())
