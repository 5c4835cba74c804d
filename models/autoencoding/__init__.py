"""Code that all autoencoders share.

| file | content |
|---|---|
| autoencoder | the interface that the tasks need, and the base of autoencoders made of two networks |
| pictures, picture_tasks | the base of autoencoders of pictures of several sizes, and their tasks |
| tiles | large pictures in parts |
| tasks | the tasks of an autoencoder and the functions that answer them, which are in the following files |
| encoding | `encode`, `decode` and `reconstruct` |
| denoising, corruption | `denoise`, and the three kinds of noise |
| sampling | `sample` |
| interpolation | `interpolate` |
| anomalies | `detect_anomalies` |
| imputation | `impute` |
| projection | `project` |
| classification | `classify` |
| coding, compression/ | `compress` and `decompress`, and the streams that they write and read |
| calibration, mixture | what is measured of a trained model and stored beside its weights |
| detector, outlier_classifier | anomaly scores beside the error of the reconstruction |
| latents | distributions of latents |
| metrics | the errors of reconstructions |
"""
