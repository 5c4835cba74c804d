"""`manifold fit`: from a user's own data to a checkpoint that the server can serve."""
