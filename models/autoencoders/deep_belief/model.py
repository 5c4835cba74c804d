"""The network in two forms: a stack of restricted Boltzmann machines, and the autoencoder unrolled from it.

Shapes: `B` batch, `V` visible units, `H` hidden units.
"""

from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.encoder_classifier import EncoderClassifier
from models.layers.feedforward import FeedForward
from models.ops.cooperation import begin_part
from models.ops.devices import to_cpu
from models.tasks import Task
from models.tasks.autoencoding import SampleRequest

N_GIBBS_STEPS = 200
"""Default number of Gibbs steps in the top machine for a sample."""
N_STEPS_OF_PART = 5
"""Number of Gibbs steps after which others may go first, and a chain may be ended because nobody waits for it."""


def n_gibbs_steps(request: SampleRequest) -> int:
    """Return the number of Gibbs steps that a request asks for."""
    return N_GIBBS_STEPS if request.gibbs_steps is None else request.gibbs_steps


def draw_bernoulli(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 1 with the given probabilities, and else 0. The generator is on the CPU."""
    uniform = torch.rand(probabilities.shape, generator=generator)
    return (uniform.to(probabilities.device) < probabilities).to(probabilities.dtype)


class Rbm(nn.Module):
    """A restricted Boltzmann machine: p(v, h) ~ exp(v·W h + a·v + b·h), with binary v and h.

    Hidden units may be Gaussian instead. The exponent then has the further term -h²/2, so that p(h | v) is
    N(v·W + b, 1).

    Source: Hinton 2002; Hinton and Salakhutdinov 2006, supporting text; Welling, Rosen-Zvi, Hinton 2004 for Gaussian
    units.
    """

    def __init__(self, n_visible: int, n_hidden: int, *, gaussian_hidden: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(n_visible, n_hidden), std=0.01))
        self.visible_bias = nn.Parameter(torch.zeros(n_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(n_hidden))
        self.gaussian_hidden = gaussian_hidden

    def hidden(self, visible: Tensor) -> Tensor:
        """Return E[h | v]: `[B, V]` to `[B, H]`."""
        inputs = functional.linear(visible, self.weight.T, self.hidden_bias)
        return inputs if self.gaussian_hidden else inputs.sigmoid()

    def visible(self, hidden: Tensor, temperature: float | None = None) -> Tensor:
        """Return P(v = 1 | h): `[B, H]` to `[B, V]`. The logits are divided by the temperature, if any."""
        logits = functional.linear(hidden, self.weight, self.visible_bias)
        return (logits if temperature is None else logits / temperature).sigmoid()

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return -log sum_h exp(-E(v, h)) up to a constant: `[B, V]` to `[B]`."""
        inputs = functional.linear(visible, self.weight.T, self.hidden_bias)
        hidden_term = 0.5 * inputs.square() if self.gaussian_hidden else functional.softplus(inputs)
        return -visible @ self.visible_bias - hidden_term.sum(1)

    def gibbs(self, visible: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
        """Draw h given v and v given h, `n_steps` times: `[B, V]` to `[B, V]`."""
        for _ in range(n_steps):
            hidden = self.hidden(visible)
            if self.gaussian_hidden:
                hidden = hidden + torch.randn(hidden.shape, generator=generator).to(hidden)
            else:
                hidden = draw_bernoulli(hidden, generator)
            visible = draw_bernoulli(self.visible(hidden), generator)
        return visible


class DeepBeliefNetwork(FixedShapeAutoencoder):
    """An autoencoder, fine-tuned as a whole, and the stack of machines that its weights were copied from.

    Source: Hinton and Salakhutdinov 2006, figure 1; Hinton, Osindero, Teh 2006, section 2, for sampling.

    Attributes:
        machines: the machines of the stack, from the items to the latent.
        stack: the same machines, as a module.
        chains: states of the persistent chains at the end of the top machine's training: `[n_chains, V]`, 0 or 1.
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
        self.machines = [Rbm(v, h, gaussian_hidden=i == last) for i, (v, h) in enumerate(pairwise(widths))]
        self.stack = nn.ModuleList(self.machines)
        self.labels = config.labels
        self.encoder = nn.Sequential(nn.Flatten(), FeedForward(widths, "sigmoid"))
        self.decoder = nn.Sequential(
            FeedForward(widths[::-1], "sigmoid"), nn.Sigmoid(), nn.Unflatten(1, config.input_shape)
        )
        n_classes = len(config.labels)
        self.classifier = EncoderClassifier(self.encoder, config.latent_width, n_classes) if n_classes else None

    def unroll(self) -> None:
        """Copy the weights of the stack into the encoder and, transposed, into the decoder."""
        upward = [m for m in self.encoder.modules() if isinstance(m, nn.Linear)]
        downward = [m for m in self.decoder.modules() if isinstance(m, nn.Linear)]
        for rbm, up, down in zip(self.machines, upward, reversed(downward), strict=True):
            up.weight.data.copy_(rbm.weight.T)
            up.bias.data.copy_(rbm.hidden_bias)
            down.weight.data.copy_(rbm.weight)
            down.bias.data.copy_(rbm.visible_bias)

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the cost of a request, in which a Gibbs step counts as half a pass: it computes in the top machine."""
        if isinstance(request, SampleRequest) and request.sampler == "gibbs":
            return request.cost * max(1, n_gibbs_steps(request) // 2)
        return super().cost_of(task, request)

    def sample_by_gibbs(self, generator: torch.Generator, temperature: float, n_steps: int = N_GIBBS_STEPS) -> Tensor:
        """Return an item after that many Gibbs steps in the top machine, on the CPU in float32.

        The chain starts from one of the stored states. The means of the other machines map its end to the item. A chain
        of fewer steps is the beginning of a longer one with the same generator. Chains are run one at a time, because
        results that depended on the batch in the last bit would soon be other samples.
        """
        top = self.machines[-1]
        visible = self.chains[torch.randint(len(self.chains), (1,), generator=generator)]
        for step in range(n_steps):
            if step % N_STEPS_OF_PART == 0:
                begin_part()
            normal = self.to_device(torch.randn(1, *self.latent_shape, generator=generator))
            uniform = self.to_device(torch.rand(visible.shape, generator=generator))
            hidden = top.hidden(visible) + temperature**0.5 * normal
            visible = (uniform < top.visible(hidden, temperature)).to(visible.dtype)
        means = top.visible(top.hidden(visible))
        for rbm in reversed(self.machines[:-1]):
            means = rbm.visible(means)
        return to_cpu(means.view(self.input_shape))
