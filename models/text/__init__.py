"""Everything that the Transformers share, besides layers and the generation of text.

text_model          interface of all models of texts: how a batch passes through the network
text_encoder        the heads of bidirectional encoders, and their interface
encoder_config      hyperparameters of bidirectional encoders
encoder_format      the published format of bidirectional encoders
label_activation    the function of class scores that a published folder declares

tasks               which function answers which task
embedding           texts to vectors, similarities and points in a plane
pooling             the vectors of a text's tokens to one vector
sparse_embedding    the logits of a text's tokens to one sparse vector
embedding_settings  how a checkpoint wants all this done
reranking           candidates in the order in which they answer a query
classification      classes of texts and of tokens
fill_mask           masked words
answering           where in a context the answer of a question is
scoring             likelihoods of texts, by encoders
attention_weights   attention weights for display
examples            small valid requests, and random texts

ragged_batch        texts of mixed length as one row of tokens, without padding
attention_patterns  which tokens attend to which
padded_attention    the same patterns over padded batches, for training
encoder_graphs      CUDA graphs of passes over a batch
sinusoids           sinusoidal position embeddings
"""
