"""The seven families of autoencoders.

| family | content | paper |
|---|---|---|
| vanilla | a bottleneck of fully connected layers | Rumelhart, Hinton, Williams 1986; Hinton, Salakhutdinov 2006 |
| convolutional | strided convolutions; latents that are vectors or small images | Masci et al. 2011 |
| denoising | trained to restore corrupted items; a classifier | Vincent et al. 2008, 2010 |
| variational | a posterior and a prior, lossless coding; classes | Kingma, Welling 2014; Burda et al. 2016 |
| recurrent | series of any length | Srivastava et al. 2015; Malhotra et al. 2016 |
| adversarial | a discriminator that shapes the latents; classes from few labels | Makhzani et al. 2015 |
| deep_belief | pretraining by restricted Boltzmann machines, Gibbs sampling | Hinton, Salakhutdinov 2006 |
"""
