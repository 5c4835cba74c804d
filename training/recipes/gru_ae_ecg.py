"""The GRU autoencoder of heartbeats, latent 4."""

from training.heartbeats import PROCEDURE, HeartbeatRecipe, heartbeat_config, heartbeat_summary


class GruAeEcg(HeartbeatRecipe):
    """Recipe of `gru-ae-ecg`: encoder and decoder with two layers of 64 cells each."""

    name = "gru-ae-ecg"
    config = heartbeat_config("gru")
    short_description = "heartbeats, 140 steps to 4, GRU; anomalies"
    summary = heartbeat_summary("GRU")
    procedure = PROCEDURE


RECIPE = GruAeEcg()
