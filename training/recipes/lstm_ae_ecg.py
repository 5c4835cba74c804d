"""The LSTM autoencoder of heartbeats, latent 4."""

from training.heartbeats import PROCEDURE, HeartbeatRecipe, heartbeat_config, heartbeat_summary


class LstmAeEcg(HeartbeatRecipe):
    """Recipe of `lstm-ae-ecg`: encoder and decoder with two layers of 64 cells each."""

    name = "lstm-ae-ecg"
    config = heartbeat_config("lstm")
    short_description = "heartbeats, 140 steps to 4, LSTM; anomalies"
    summary = heartbeat_summary("LSTM")
    procedure = PROCEDURE


RECIPE = LstmAeEcg()
