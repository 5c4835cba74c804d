"""Train and measure models of text: vocabularies, corpora, stages, scores and model cards."""
