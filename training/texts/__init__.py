"""Training and measuring models of text: vocabularies, corpora, stages, scores, cards."""
