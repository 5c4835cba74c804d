"""The five Transformers. All share the blocks of `models.layers`, run without padding, and load published checkpoints.

| family | a token attends to | tasks of its own | paper |
|---|---|---|---|
| vanilla | its whole text; when translating, also to earlier tokens | translations | Vaswani et al. 2017 |
| bert | its whole text or pair of texts | masked words, classes, answers | Devlin et al. 2019 |
| gpt | itself and earlier tokens | continuations, likelihoods, classes | Radford et al. 2019 |
| roberta | its whole text or pair of texts | masked words, classes, answers | Liu et al. 2019 |
| albert | its whole text or pair of texts, through shared layers | masked words, classes, answers | Lan et al. 2020 |
"""
