"""How well fitted models tell anomalies from normal items."""
