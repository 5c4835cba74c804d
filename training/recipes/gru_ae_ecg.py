"""The GRU autoencoder of heartbeats, latent 4."""

from training.heartbeats import STORY, HeartbeatRecipe, heartbeat_config, summary


class GruAeEcg(HeartbeatRecipe):
    """Two layers of 64 each way."""

    name = "gru-ae-ecg"
    config = heartbeat_config("gru")
    what = "heartbeats, 140 steps to 4, GRU; anomalies"
    summary = summary("GRU")
    story = STORY


RECIPE = GruAeEcg()
