"""The seven autoencoders.

| family | what it adds | paper |
|---|---|---|
| vanilla | a bottleneck of fully connected layers | Rumelhart, Hinton, Williams 1986; Hinton, Salakhutdinov 2006 |
| convolutional | strided convolutions, latents that are vectors or small images | Masci et al. 2011 |
| denoising | corrupted items in, clean ones out; a classifier | Vincent et al. 2008, 2010 |
| variational | a posterior, a prior to sample, lossless coding; classes | Kingma, Welling 2014; Burda et al. 2016 |
| recurrent | series of any length | Srivastava et al. 2015; Malhotra et al. 2016 |
| adversarial | latents that a discriminator takes for the prior; classes from few labels | Makhzani et al. 2015 |
| deep_belief | greedy pretraining by Boltzmann machines, Gibbs sampling | Hinton, Salakhutdinov 2006 |
"""
