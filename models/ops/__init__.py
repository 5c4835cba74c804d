"""Operations that have several implementations. A model calls the operation, which chooses the implementation.

add_norm attention blocks cache embeddings linear pooling top_tokens
                   one file for each operation; its function is the only place where an implementation is chosen
avx512             kernels for CPUs with AVX-512, in C++
triton             kernels for GPUs, in Triton
onednn cublas      linear layers by the libraries that torch brings along
flash              attention on GPUs by torch's function for texts of variable length
reference          plain torch, which runs where nothing else does; every implementation is tested against it
segments patterns  where texts lie in a row of tokens, and what their tokens attend to
devices cooperation cuda_graphs
                   transfers between devices, how threads share a machine, recorded forward passes

For another instruction set, such as AVX2, add a folder like `avx512` and one condition to each operation.
"""
