"""The families of autoencoders that are trained here, those of published ones, and `onnx` for any other network.

Each folder has a README with its mathematics, checkpoints and papers.

| family | what distinguishes it | paper |
|---|---|---|
| vanilla | fully connected layers, a narrow latent | Rumelhart, Hinton, Williams 1986; Hinton, Salakhutdinov 2006 |
| convolutional | strided convolutions; the latent is a vector or a small image | Masci et al. 2011 |
| denoising | reads corrupted items and returns clean ones; can classify | Vincent et al. 2008, 2010 |
| variational | prior and likelihood; lossless compression; classes | Kingma, Welling 2014; Burda et al. 2016 |
| recurrent | reads series of any length with an LSTM or GRU | Srivastava et al. 2015; Malhotra et al. 2016 |
| recurrent_text | reads and writes sentences with GRUs; puts words in order | Bowman et al. 2016; Shen et al. 2020 |
| adversarial | a discriminator shapes the latents; classes from few labels | Makhzani et al. 2015 |
| deep_belief | pretrained as Boltzmann machines; samples by Gibbs sampling | Hinton, Salakhutdinov 2006 |
| kl | maps pictures of any size to the latents of diffusion models, and back | Rombach et al. 2022 |
| tiny | maps pictures of any size to latents of diffusion models, fast | Boer Bohan 2023 |
| encodec | sounds as indices of codebooks, at a chosen bandwidth | Defossez et al. 2022 |
| onnx | an encoder and a decoder of any architecture, computed by ONNX Runtime | onnx.ai |
"""
