"""The loss that DistilBERT is pretrained with, beside the model that it imitates."""

from torch import Tensor
from torch.nn import functional

from models.objectives import token_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder

TEMPERATURE = 2.0
"""The number by which logits are divided before the student's probabilities are compared with the teacher's."""
IMITATION_WEIGHT, MASKED_WEIGHT, DIRECTION_WEIGHT = 5.0, 2.0, 1.0
"""Weights of the three losses, as in the authors' program."""


def loss(
    model: TextEncoder, batch: RaggedBatch, targets: Tensor, teacher_logits: Tensor, teacher_hidden: Tensor
) -> Tensor:
    """Return the weighted sum of three losses, a scalar.

    They are the divergence of the student's words at masks from the teacher's, the cross-entropy of the masked words,
    both in nats, and one minus the cosine of the states of student and teacher. All are averages over tokens.

    The batch is of texts with masks. `targets` `[N]` are the ids that the masks hide, and -1 elsewhere;
    `teacher_logits` `[n, V]` are the teacher's at the masks, in order, and `teacher_hidden` `[N, D]` its last states.

    Source: Sanh et al. 2019, section 2; Hinton et al. 2015, section 2, for the temperature.
    """
    hidden = model.hidden(batch, PaddedTexts(batch.segments))
    is_masked = targets >= 0
    logits = model.masked_logits(hidden[is_masked])
    mine, theirs = ((some / TEMPERATURE).log_softmax(-1) for some in (logits, teacher_logits))
    imitation = functional.kl_div(mine, theirs, reduction="batchmean", log_target=True) * TEMPERATURE**2
    direction = (1 - functional.cosine_similarity(hidden, teacher_hidden, dim=1)).mean()
    of_words = token_loss(logits, targets[is_masked])
    return IMITATION_WEIGHT * imitation + MASKED_WEIGHT * of_words + DIRECTION_WEIGHT * direction
