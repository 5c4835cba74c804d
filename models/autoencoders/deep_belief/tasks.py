"""The task `sample` of the deep belief network, which has a sampler of its own."""

from collections.abc import Sequence

from models.autoencoders.deep_belief.model import DeepBeliefNetwork, n_gibbs_steps
from models.autoencoding import sampling
from models.seeding import seeded
from models.tasks.autoencoding import SampleRequest, SampleResult


def sample(model: DeepBeliefNetwork, requests: Sequence[SampleRequest]) -> list[SampleResult]:
    """Generate items from the mixture of Gaussians with the decoder, or by Gibbs sampling in the stack.

    The item of a Gibbs chain is made by the stack, whose weights are not those of the fine-tuned decoder. It is encoded
    and decoded, so that the latent in the result is that of the sample.

    Raises:
        InvalidItems: a request names a sampler that the model does not have, or a label or a length, which no sampler
            obeys, or Gibbs steps of the other sampler.
    """
    results = []
    for request in requests:
        sampling.check_request(model, request)
        if request.sampler == "gibbs":
            generator = seeded(request.seed, request.index)
            generated = model.sample_by_gibbs(generator, request.temperature, n_gibbs_steps(request))
            latents = model.latents_of([generated])
            (item,) = model.items_of(latents, [model.input_shape])
            results.append(SampleResult(sample=item, latent=latents[0], seed=request.seed))
        else:
            results += sampling.sample(model, [request])
    return results
