"""
Calibration: between which numbers the values of each network lie, so that it can compute in int8 (`ml.sessions.ranges`).

The pipelines see photos and each network's inputs are kept (`recording`); NNCF runs the network on them, measures every
value and says which places should be quantised (`ranges_of`). What is written is facts alone, a few kB for each network.
"""
