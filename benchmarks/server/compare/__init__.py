"""Compare the speed of two source trees, or of one tree under two environments."""
