"""The Hugging Face Inference API: the bodies and the answers of its pipelines."""
