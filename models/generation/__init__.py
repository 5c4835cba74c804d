"""The engine that generates text token by token.

tasks               the function that generates the texts of a batch of requests to their end
running_batch       sequences of several callers that join, take steps together, and leave when they are done
decoder_only, encoder_decoder
                    what makes a generator of a network: families write only the network
generator           the interface of models that generate text
requests            completes and checks requests
search, beam_search how the next token of one text, or of several beams, is chosen
sampling            how a token is drawn
logits_rules        rules that change or forbid the scores of tokens, one class for each
token_scores        the scores of the next token of all rows
kv_cache            the keys and values of the tokens so far
cached_attention    attention over the cache
prompt_cache        prompts that begin alike are read once
decoder_graphs      steps and prompts as CUDA graphs
"""
