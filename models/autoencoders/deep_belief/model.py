"""The network twice: a stack of restricted Boltzmann machines, and the deep autoencoder unrolled from it.

Shapes: `B` batch, `V` visible units, `H` hidden units, `C` classes.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.encoder_classifier import EncoderClassifier
from models.layers.feedforward import FeedForward
from models.ops.devices import to_cpu
from models.tasks.autoencoding import SampleRequest, SampleResult

N_GIBBS_STEPS = 200
"""Rounds in the top machine behind a sample."""


class Rbm(nn.Module):
    """p(v, h) ~ exp(v·W h + a·v + b·h), for binary visible units, and hidden ones that are binary or gaussian.

    A gaussian hidden unit has the term -h²/2 besides, so that h given v is N(v·W + b, 1).

    Source: Hinton 2002; Hinton and Salakhutdinov 2006, supporting text; Welling, Rosen-Zvi, Hinton 2004 for gaussians.
    """

    def __init__(self, n_visible: int, n_hidden: int, *, gaussian_hidden: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(n_visible, n_hidden), std=0.01))
        self.visible_bias = nn.Parameter(torch.zeros(n_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(n_hidden))
        self.gaussian_hidden = gaussian_hidden

    def hidden(self, visible: Tensor) -> Tensor:
        """E[h | v]: `[B, V]` to `[B, H]`."""
        inputs = functional.linear(visible, self.weight.T, self.hidden_bias)
        return inputs if self.gaussian_hidden else inputs.sigmoid()

    def visible(self, hidden: Tensor) -> Tensor:
        """P(v = 1 | h): `[B, H]` to `[B, V]`."""
        return self.visible_inputs(hidden).sigmoid()

    def visible_inputs(self, hidden: Tensor) -> Tensor:
        """The logits of that."""
        return functional.linear(hidden, self.weight, self.visible_bias)

    def draw_hidden(self, means: Tensor, noise: "Noise") -> Tensor:
        """h from its means."""
        return means + noise.normal(means) if self.gaussian_hidden else noise.bernoulli(means)

    def free_energy(self, visible: Tensor) -> Tensor:
        """-log sum_h exp(-E(v, h)) up to a constant: `[B, V]` to `[B]`. Its gradient drives contrastive divergence."""
        inputs = functional.linear(visible, self.weight.T, self.hidden_bias)
        hidden_term = 0.5 * inputs.square() if self.gaussian_hidden else functional.softplus(inputs)
        return -visible @ self.visible_bias - hidden_term.sum(1)

    def gibbs(self, visible: Tensor, n_steps: int, noise: "Noise") -> Tensor:
        """`n_steps` of drawing h given v and v given h: `[B, V]` to `[B, V]`."""
        for _ in range(n_steps):
            hidden = self.draw_hidden(self.hidden(visible), noise)
            visible = noise.bernoulli(self.visible(hidden))
        return visible


class Noise:
    """Draws for whole batches, from one generator on the CPU."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def bernoulli(self, probabilities: Tensor) -> Tensor:
        """0 or 1 where the probability says so."""
        uniform = torch.rand(probabilities.shape, generator=self._generator)
        return (uniform.to(probabilities.device) < probabilities).to(probabilities.dtype)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal, of the shape of `like`."""
        return torch.randn(like.shape, generator=self._generator).to(like)


class DeepBeliefNetwork(FixedShapeAutoencoder):
    """Encoder and decoder of the unrolled network, fine-tuned as one, and the `stack` they were unrolled from.

    `chains` are where the persistent chains of the top machine's training ended: `[n_chains, V]`, zeros and ones.

    Source: Hinton and Salakhutdinov 2006, figure 1; sampling: Hinton, Osindero, Teh 2006, section 2.
    """

    samplers = ("gmm", "gibbs")
    chains: Tensor

    classifier: EncoderClassifier | None

    def __init__(self, config: DeepBeliefConfig) -> None:
        super().__init__()
        self.input_shape = config.input_shape
        self.latent_shape = (config.latent_width,)
        widths = (prod(config.input_shape), *config.hidden_widths, config.latent_width)
        last = len(widths) - 2
        self.register_buffer("chains", torch.zeros(config.n_chains, widths[-2]))
        self.stack = nn.ModuleList(Rbm(v, h, gaussian_hidden=i == last) for i, (v, h) in enumerate(pairwise(widths)))
        self.labels = config.labels
        self.encoder = nn.Sequential(nn.Flatten(), FeedForward(widths, "sigmoid"))
        self.decoder = nn.Sequential(
            FeedForward(widths[::-1], "sigmoid"), nn.Sigmoid(), nn.Unflatten(1, config.input_shape)
        )
        n_classes = len(config.labels)
        self.classifier = EncoderClassifier(self.encoder, config.latent_width, n_classes) if n_classes else None

    def unroll(self) -> None:
        """Set encoder and decoder to what the stack has learned: its weights upwards, then downwards."""
        upward = [m for m in self.encoder.modules() if isinstance(m, nn.Linear)]
        downward = [m for m in self.decoder.modules() if isinstance(m, nn.Linear)]
        for rbm, up, down in zip(self.machines, upward, reversed(downward), strict=True):
            up.weight.data.copy_(rbm.weight.T)
            up.bias.data.copy_(rbm.hidden_bias)
            down.weight.data.copy_(rbm.weight)
            down.bias.data.copy_(rbm.visible_bias)

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult]:
        """From the mixture through the decoder, or by Gibbs sampling through the stack, each as a request asks."""
        results: dict[int, SampleResult] = {}
        for answer, is_chain in ((super().sample, False), (self._sample_by_gibbs, True)):
            places = [i for i, request in enumerate(requests) if (request.sampler == "gibbs") == is_chain]
            if places:
                results |= dict(zip(places, answer([requests[i] for i in places]), strict=True))
        return [results[i] for i in range(len(requests))]

    def _sample_by_gibbs(self, requests: Sequence[SampleRequest]) -> list[SampleResult]:
        """One chain at a time: a last bit that depends on the company would soon be another sample."""
        return [self._run_chain(request) for request in requests]

    def _run_chain(self, request: SampleRequest) -> SampleResult:
        """`N_GIBBS_STEPS` in the top machine from one of the stored chains, then means down the stack."""
        top, generator = self.machines[-1], self.generator_of(request)
        visible = self.chains[torch.randint(len(self.chains), (1,), generator=generator)]
        for _ in range(N_GIBBS_STEPS):
            normal = self.to_device(torch.randn(1, *self.latent_shape, generator=generator))
            uniform = self.to_device(torch.rand(visible.shape, generator=generator))
            hidden = top.hidden(visible) + request.temperature**0.5 * normal
            visible = (uniform < (top.visible_inputs(hidden) / request.temperature).sigmoid()).to(visible.dtype)
        latents = top.hidden(visible)
        means = top.visible(latents)
        for rbm in reversed(self.machines[:-1]):
            means = rbm.visible(means)
        (sample,), (latent,) = to_cpu(means.view(-1, *self.input_shape)), to_cpu(latents)
        return SampleResult(sample=sample, latent=latent, seed=request.seed)

    @property
    def machines(self) -> list[Rbm]:
        """The stack from the bottom up."""
        return [rbm for rbm in self.stack if isinstance(rbm, Rbm)]
