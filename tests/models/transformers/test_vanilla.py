"""The vanilla Transformer with norms first and learned positions, which nobody publishes: beside torch's own."""

import pytest
import torch
from torch import nn

from models.ops.segments import Segments
from models.tasks.text import Tokens
from models.text.attention_patterns import AcrossTexts, WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.vanilla.config import VanillaTransformerConfig
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.objective import loss
from tests.models.transformers.reference import random_text

CONFIG = VanillaTransformerConfig(
    vocab_size=60,
    target_vocab_size=50,
    n_positions=30,
    width=24,
    n_encoder_layers=2,
    n_decoder_layers=3,
    n_encoder_heads=3,
    n_decoder_heads=2,
    encoder_inner_width=40,
    decoder_inner_width=32,
    start_id=2,
    end_ids=(0,),
    positions="learned",
    norm_first=True,
    shared=False,
)


def torchs(config: VanillaTransformerConfig, model: VanillaTransformer) -> tuple[nn.Module, nn.Module]:
    """Torch's encoder and decoder with our weights."""
    common = {"activation": config.activation, "batch_first": True, "norm_first": True, "dropout": 0.0}
    sizes = {"d_model": config.width, "nhead": config.n_encoder_heads, "dim_feedforward": config.encoder_inner_width}
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**sizes, **common),  # type: ignore[arg-type]
        config.n_encoder_layers,
        nn.LayerNorm(config.width),
        enable_nested_tensor=False,
    )
    sizes |= {"nhead": config.n_decoder_heads, "dim_feedforward": config.decoder_inner_width}
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(**sizes, **common),  # type: ignore[arg-type]
        config.n_decoder_layers,
        nn.LayerNorm(config.width),
    )
    names = {
        "attention.qkv.weight": "self_attn.in_proj_weight",
        "attention.qkv.bias": "self_attn.in_proj_bias",
        "attention.out": "self_attn.out_proj",
        "attention_input_norm": "norm1",
        "cross_attention.out": "multihead_attn.out_proj",
        "cross_attention_input_norm": "norm2",
        "feedforward.0": "linear1",
        "feedforward.2": "linear2",
    }
    for ours, theirs, last in ((model.encoder, encoder, "norm2"), (model.decoder, decoder, "norm3")):
        state: dict[str, torch.Tensor] = {}
        for name, tensor in ours.state_dict().items():
            parts = name.split(".", 2)
            if parts[0] == "norm":
                state[name] = tensor
            if parts[0] != "blocks":
                continue
            rest = parts[2].replace("feedforward_input_norm", last)
            for mine, other in names.items():
                rest = other + rest.removeprefix(mine) if rest.startswith(mine) else rest
            state[f"layers.{parts[1]}.{rest}"] = tensor
        for layer in range(len(ours.blocks)):
            for kind in ("weight", "bias") if ours is model.decoder else ():
                q, kv = (state.pop(f"layers.{layer}.cross_attention.{part}.{kind}") for part in ("q", "kv"))
                state[f"layers.{layer}.multihead_attn.in_proj_{kind}"] = torch.cat([q, kv])
        theirs.load_state_dict(state)
    return encoder.eval(), decoder.eval()


def test_norms_first_and_learned_positions_equal_torchs() -> None:
    torch.manual_seed(0)
    model = VanillaTransformer(CONFIG).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    encoder, decoder = torchs(CONFIG, model)
    sources, targets = [random_text(n, 60, n) for n in (5, 9, 5)], [random_text(n, 50, n) for n in (4, 2, 7)]
    scale = CONFIG.width**0.5
    with torch.inference_mode():
        batch = RaggedBatch.of_texts(sources)
        memory = model.hidden(batch, WithinTexts(batch.segments))
        ordered = [targets[place] for place in batch.order]
        segments = Segments([len(target) for target in ordered])
        across = AcrossTexts(segments, batch.segments, model.keys_values(memory))
        ids = torch.cat([torch.from_numpy(target.ids) for target in ordered])
        states = model.decoder(ids, segments.positions, WithinTexts(segments, causal=True), across)
        for place, mine in zip(batch.order, segments.split(states), strict=True):
            source, target = (torch.from_numpy(side[place].ids) for side in (sources, targets))
            x = model.encoder.words(source) * scale + model.encoder.positions.weight[: len(source)]
            y = model.decoder.words(target) * scale + model.decoder.positions.weight[: len(target)]
            mask = nn.Transformer.generate_square_subsequent_mask(len(target))
            expected = decoder(y[None], encoder(x[None]), tgt_mask=mask, tgt_is_causal=True)[0]
            torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_target_tokens(smoothing: float) -> None:
    torch.manual_seed(0)
    model = VanillaTransformer(CONFIG).eval()
    sources, targets = ([random_text(n, size, n) for n in ns] for ns, size in (((5, 9), 60), ((4, 2), 50)))

    def rows(texts: list[Tokens]) -> RaggedBatch:
        ids = [torch.from_numpy(text.ids) for text in texts]
        grid = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
        return RaggedBatch.of_rows(grid, [len(text) for text in texts])

    with torch.inference_mode():
        together = loss(model, rows(sources), rows(targets), smoothing)
        alone = [
            loss(model, rows([one]), rows([other]), smoothing) for one, other in zip(sources, targets, strict=True)
        ]
    torch.testing.assert_close(together, (4 * alone[0] + 2 * alone[1]) / 6)
