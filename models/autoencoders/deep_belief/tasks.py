"""The task `sample` of the deep belief network, which has a sampler of its own."""

from collections.abc import Sequence

from models.autoencoders.deep_belief.model import DeepBeliefNetwork
from models.autoencoding import sampling
from models.seeding import seeded
from models.tasks.autoencoding import SampleRequest, SampleResult


def sample(model: DeepBeliefNetwork, requests: Sequence[SampleRequest]) -> list[SampleResult]:
    """Generate items from the mixture of Gaussians with the decoder, or by Gibbs sampling in the stack.

    Raises:
        InvalidItems: a request names a sampler or a label that the model does not have, or a length.
    """
    results = []
    for request in requests:
        if request.sampler == "gibbs":
            generator = seeded(request.seed, request.index)
            item, latent = model.sample_by_gibbs(generator, request.temperature)
            results.append(SampleResult(sample=item, latent=latent, seed=request.seed))
        else:
            results += sampling.sample(model, [request])
    return results
