"""The LSTM autoencoder of heartbeats, latent 4."""

from training.heartbeats import STORY, HeartbeatRecipe, heartbeat_config, summary


class LstmAeEcg(HeartbeatRecipe):
    """Two layers of 64 each way."""

    name = "lstm-ae-ecg"
    config = heartbeat_config("lstm")
    what = "heartbeats, 140 steps to 4, LSTM; anomalies"
    summary = summary("LSTM")
    story = STORY


RECIPE = LstmAeEcg()
